"""Every endpoint and log-in: what the file says, what is asked, what the vendor answers, and what /metrics shows."""

# ruff: noqa: E501 - the tables are to be read line by line

import asyncio
import json
import re
import subprocess
from itertools import pairwise
from pathlib import Path
from urllib.parse import parse_qsl, unquote

import httpx
import pytest
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.config import ConfigError, load
from exporter.exposition import Exposition, Format
from exporter.gzipped import inflate
from exporter.plan import plan
from exporter.poll import Poller
from exporter.providers.http import Client
from exporter.simulator.ibm_video import IbmVideo
from exporter.simulator.smartsight import SmartSight
from exporter.store import Store

FIXTURES = Path(__file__).parent / "fixtures"
DOCUMENTS_END = 1730271600
"""The end of the period in SmartSight's documents, a week after 1729666800."""
IBM_END = 1531765500
"""2018-07-16 18:25 UTC, five minutes after the moment of IBM's example."""

SOURCES = """
key: {type: smartsight, base_url: "https://ss", customer_id: 199493832, auth: {api_key: k3y}}
oauth: {type: smartsight, base_url: "https://ss", customer_id: 199493832, plan_level: 2735, auth: {username: ops@example.com, password: p4ss, token_url: "https://id/realms/mediamelon/protocol/openid-connect/token"}}
lookup: {type: smartsight, base_url: "https://ss", customer_id: 199493832, auth: {username: ops@example.com, password: p4ss, token_url: "https://id/realms/mediamelon/protocol/openid-connect/token"}}
older: {type: smartsight, base_url: "https://ss", customer_id: 199493832, plan_level: 2735, auth: {username: ops@example.com, password: p4ss, token_url: "https://ss/generateOAuthToken"}}
ibm: {type: ibm_video, base_url: "https://api/v1", auth: {client_id: exporter, client_secret: s3cret, token_url: "https://video/oauth2/token"}}
"""

TABLE = """
== metricquery, with a key: pages come until totalrecords have, whatever pagecount says
key: {metrics: [latency, concurviewavg], dimensions: [country]}
> /mm-apis/metricquery/199493832?period=start=1729666800,end=1730271600&metrics=latency,concurviewavg&aggby=country&orderby=latency&order=desc&limit=1000&offset=0  smartsight/response_structure
> /mm-apis/metricquery/199493832?period=start=1729666800,end=1730271600&metrics=latency,concurviewavg&aggby=country&orderby=latency&order=desc&limit=1000&offset=2  smartsight/no_more_rows
smartsight_concurrent_views{…,country="US"} 412
smartsight_concurrent_views{…,country="GB"} 187
smartsight_startup_time_seconds{…,country="US"} 1.82
smartsight_startup_time_seconds{…,country="GB"} 2.14

== metricquery, with a token: the plan level goes along; "", null, texts and fields that nobody asked for
oauth: {metrics: [viewercount, bufferingratio, cbrsize], dimensions: [cdn], filters: {country: [US, Canada], platform: Android}, having: latency>3, options: {sessiontype: started}}
> /mm-apis/metricquery/199493832?period=start=1729666800,end=1730271600&metrics=viewercount,bufferingratio,cbrsize&aggby=cdn&filter=[country=US|Canada][platform=Android]&qoefilter=latency>3&orderby=viewercount&order=desc&limit=1000&offset=0&planlevel=2735&sessiontype=started  smartsight/metricquery_by_cdn
smartsight_buffering_ratio{…,cdn="akamai"} 0.004690097628503022
smartsight_buffering_ratio{…,cdn="fastly"} 0.0
smartsight_downloaded_bytes{…,cdn="akamai"} 9007199254740993
smartsight_downloaded_bytes{…,cdn="unknown"} 0
smartsight_plays{…,cdn="akamai"} 5440
smartsight_plays{…,cdn="unknown"} 75
smartsight_plays{…,cdn="fastly"} 0

== metricquery, with the older log-in
older: {metrics: [viewercount], dimensions: [cdn], order_by: cdn, order: asc}
> /mm-apis/metricquery/199493832?period=start=1729666800,end=1730271600&metrics=viewercount&aggby=cdn&orderby=cdn&order=asc&limit=1000&offset=0&planlevel=2735  smartsight/metricquery_by_cdn
smartsight_plays{…,cdn="akamai"} 5440
smartsight_plays{…,cdn="unknown"} 75
smartsight_plays{…,cdn="fastly"} 0

== listsessions: distributions in base units, a value on a bound below it, an own metric for the count
key: {endpoint: listsessions, metrics: [latency, bufferingratio], dimensions: [cdn], buckets: {latency: [0.5, 1, 2], bufferingratio: [0.01, 0.05]}, options: {sessiontype: started, allstatus: 1}}
> /mm-apis/listsessions/199493832?period=start=1729666800,end=1730271600&metrics=latency,bufferingratio,cdn,sessionid&aggby=sessionid&orderby=latency&order=desc&limit=1000&offset=0&sessiontype=started&allstatus=1  smartsight/listsessions
smartsight_session_buffering_ratio_bucket{…,cdn="akamai",le="0.01"} 1
smartsight_session_buffering_ratio_bucket{…,cdn="akamai",le="0.05"} 2
smartsight_session_buffering_ratio_bucket{…,cdn="akamai",le="+Inf"} 3
smartsight_session_buffering_ratio_sum{…,cdn="akamai"} 0.31
smartsight_session_buffering_ratio_count{…,cdn="akamai"} 3
smartsight_session_buffering_ratio_bucket{…,cdn="unknown",le="0.01"} 1
smartsight_session_buffering_ratio_bucket{…,cdn="unknown",le="0.05"} 1
smartsight_session_buffering_ratio_bucket{…,cdn="unknown",le="+Inf"} 1
smartsight_session_buffering_ratio_sum{…,cdn="unknown"} 0.0
smartsight_session_buffering_ratio_count{…,cdn="unknown"} 1
smartsight_session_buffering_ratio_bucket{…,cdn="fastly",le="0.01"} 1
smartsight_session_buffering_ratio_bucket{…,cdn="fastly",le="0.05"} 1
smartsight_session_buffering_ratio_bucket{…,cdn="fastly",le="+Inf"} 1
smartsight_session_buffering_ratio_sum{…,cdn="fastly"} 0.005
smartsight_session_buffering_ratio_count{…,cdn="fastly"} 1
smartsight_session_startup_time_seconds_bucket{…,cdn="akamai",le="0.5"} 1
smartsight_session_startup_time_seconds_bucket{…,cdn="akamai",le="1.0"} 2
smartsight_session_startup_time_seconds_bucket{…,cdn="akamai",le="2.0"} 2
smartsight_session_startup_time_seconds_bucket{…,cdn="akamai",le="+Inf"} 3
smartsight_session_startup_time_seconds_sum{…,cdn="akamai"} 3.75
smartsight_session_startup_time_seconds_count{…,cdn="akamai"} 3
smartsight_session_startup_time_seconds_bucket{…,cdn="unknown",le="0.5"} 0
smartsight_session_startup_time_seconds_bucket{…,cdn="unknown",le="1.0"} 0
smartsight_session_startup_time_seconds_bucket{…,cdn="unknown",le="2.0"} 0
smartsight_session_startup_time_seconds_bucket{…,cdn="unknown",le="+Inf"} 0
smartsight_session_startup_time_seconds_sum{…,cdn="unknown"} 0
smartsight_session_startup_time_seconds_count{…,cdn="unknown"} 0
smartsight_session_startup_time_seconds_bucket{…,cdn="fastly",le="0.5"} 0
smartsight_session_startup_time_seconds_bucket{…,cdn="fastly",le="1.0"} 1
smartsight_session_startup_time_seconds_bucket{…,cdn="fastly",le="2.0"} 1
smartsight_session_startup_time_seconds_bucket{…,cdn="fastly",le="+Inf"} 1
smartsight_session_startup_time_seconds_sum{…,cdn="fastly"} 1
smartsight_session_startup_time_seconds_count{…,cdn="fastly"} 1
smartsight_sessions{…,cdn="akamai"} 3
smartsight_sessions{…,cdn="unknown"} 1
smartsight_sessions{…,cdn="fastly"} 1

== listsessions: an own name and scale
key: {endpoint: listsessions, metrics: [{field: latency, name: startup_ms, scale: 1000}], buckets: {latency: [500, 1000]}}
> /mm-apis/listsessions/199493832?period=start=1729666800,end=1730271600&metrics=latency,sessionid&aggby=sessionid&orderby=latency&order=desc&limit=1000&offset=0  smartsight/listsessions
smartsight_sessions{…} 5
startup_ms_bucket{…,le="500.0"} 1
startup_ms_bucket{…,le="1000.0"} 3
startup_ms_bucket{…,le="+Inf"} 4
startup_ms_sum{…} 4750.0
startup_ms_count{…} 4

== qbrdata
oauth: {endpoint: qbrdata, metrics: [sumbuffwaitcirr, playdur]}
> /mm-apis/qbrData/vod/199493832?period=start=1729666800,end=1730271600&metrics=sumbuffwaitcirr,playdur&orderby=sumbuffwaitcirr&order=desc&limit=1000&offset=0&planlevel=2735  smartsight/cirr
smartsight_connection_induced_rebuffering_ratio{…} 0.0027824154511000986
smartsight_playtime_seconds{…} 3949121578.0

== session
oauth: {endpoint: session, metrics: [viewercount]}
> /mm-apis/session/199493832?period=start=1729666800,end=1730271600&metrics=viewercount&orderby=viewercount&order=desc&limit=1000&offset=0&planlevel=2735  smartsight/plays
smartsight_plays{…} 5029111

== session, with a dimension that is "" and the document's own parameter
oauth: {endpoint: session, metrics: [qualityofexperience, bufferingratio, latency, failurerate, playdur], dimensions: [cdn], options: {dimension: cdn}, top: 1}
> /mm-apis/session/199493832?period=start=1729666800,end=1730271600&metrics=qualityofexperience,bufferingratio,latency,failurerate,playdur&aggby=cdn&orderby=qualityofexperience&order=desc&limit=1&offset=0&planlevel=2735&dimension=cdn  smartsight/q_metric
smartsight_buffering_ratio{…,cdn="unknown"} 0.02173613690151101
smartsight_playback_score{…,cdn="unknown"} 0
smartsight_playtime_seconds{…,cdn="unknown"} 32958.0
smartsight_startup_failure_ratio{…,cdn="unknown"} 0.0
smartsight_startup_time_seconds{…,cdn="unknown"} 8.986333333333333

== smartquery
oauth: {endpoint: smartquery, metrics: [viewercount], dimensions: [assetname, nextasset], filters: {country: US}, options: {queryname: contentpaths, querycache: false}}
> /mm-apis/smartQuery/199493832?period=start=1729666800,end=1730271600&filter=[country=US]&limit=1000&offset=0&planlevel=2735&queryname=contentpaths&querycache=false  smartsight/smartquery
smartsight_plays{…,assetname="Finale",nextasset="Credits"} 7
smartsight_plays{…,assetname="Pilot",nextasset="Second"} 412
smartsight_plays{…,assetname="Pilot",nextasset="unknown"} 19

== error
oauth: {endpoint: error, metrics: [errors, fatalerrors], dimensions: [errorcode, platform]}
> /mm-apis/error/199493832?period=start=1729666800,end=1730271600&metrics=errors,fatalerrors&aggby=errorcode,platform&orderby=errors&order=desc&limit=1000&offset=0&planlevel=2735  smartsight/error
smartsight_errors{…,errorcode="2004",platform="Android"} 486
smartsight_errors{…,errorcode="MEDIA_ERR_NETWORK",platform="Web"} 95
smartsight_fatal_errors{…,errorcode="2004",platform="Android"} 12

== alerts, as one object
oauth: {endpoint: alerts, dimensions: [severity]}
> /mm-apis/getAIAlerts/199493832?period=start=1729666800,end=1730271600&limit=1000&offset=0&planlevel=2735  smartsight/alerts
smartsight_alerts{…,severity="critical"} 2
smartsight_alerts{…,severity="warning"} 1
smartsight_alerts{…,severity="unknown"} 1
smartsight_newest_alert_start_timestamp_seconds{…,severity="critical"} 1730070000
smartsight_newest_alert_start_timestamp_seconds{…,severity="warning"} 1730080000.0

== alerts, as the document's array of objects
oauth: {endpoint: alerts}
> /mm-apis/getAIAlerts/199493832?period=start=1729666800,end=1730271600&limit=1000&offset=0&planlevel=2735  smartsight/alerts_array
smartsight_alerts{…} 4
smartsight_newest_alert_start_timestamp_seconds{…} 1730080000.0

== total-views, and the page behind the document's next link
ibm: {metrics: [total_views]}
> /v1/total-views/summary?date_time_from=2018-07-16T18:20:00+00:00&date_time_to=2018-07-16T18:25:00+00:00&_page=1&_limit=10000  ibm_video/series_summary
> /v1/total-views/summary?date_time_from=2018-07-16T18:20:00+00:00&date_time_to=2018-07-16T18:25:00+00:00&_page=2&_limit=10000  ibm_video/no_more_rows
ibm_video_total_views{…} 11

== total-views by calendar buckets: the newest, wherever it stands
ibm: {metrics: [total_views], options: {bucket: day}}
> /v1/total-views/day?date_time_from=2018-07-16T18:20:00+00:00&date_time_to=2018-07-16T18:25:00+00:00&_page=1&_limit=10000  ibm_video/series_by_day
ibm_video_total_views{…} 11

== total-views by calendar buckets whose points are arrays
ibm: {metrics: [total_views], options: {bucket: day}}
> /v1/total-views/day?date_time_from=2018-07-16T18:20:00+00:00&date_time_to=2018-07-16T18:25:00+00:00&_page=1&_limit=10000  ibm_video/series_by_day_as_arrays
ibm_video_total_views{…} 11

== authenticated-viewers by calendar buckets, of a type and some contents
ibm: {metrics: [authenticated_viewers], dimensions: [content_type], filters: {content_type: recorded, content_id: [77569623, 238589]}, options: {bucket: month}}
> /v1/authenticated-viewers/recorded/month?date_time_from=2018-07-16T18:20:00+00:00&date_time_to=2018-07-16T18:25:00+00:00&content_id=77569623,238589&_page=1&_limit=10000  ibm_video/series_by_day
ibm_video_authenticated_viewers{…,content_type="recorded"} 11

== unique-devices by location
ibm: {metrics: [unique_devices], dimensions: [location]}
> /v1/unique-devices/location?date_time_from=2018-07-16T18:20:00+00:00&date_time_to=2018-07-16T18:25:00+00:00&_page=1&_limit=10000  ibm_video/series_by_location
ibm_video_unique_devices{…,location="US/Texas"} 13
ibm_video_unique_devices{…,location="HU"} 4

== authenticated-viewers by view source and content type: two requests
ibm: {metrics: [authenticated_viewers], dimensions: [content_type, view_source], on_missing: zero}
> /v1/authenticated-viewers/live/view-source?date_time_from=2018-07-16T18:20:00+00:00&date_time_to=2018-07-16T18:25:00+00:00&_page=1&_limit=10000  ibm_video/series_by_location
> /v1/authenticated-viewers/recorded/view-source?date_time_from=2018-07-16T18:20:00+00:00&date_time_to=2018-07-16T18:25:00+00:00&_page=1&_limit=10000  ibm_video/no_more_rows
ibm_video_authenticated_viewers{…,content_type="live",view_source="US/Texas"} 13
ibm_video_authenticated_viewers{…,content_type="live",view_source="HU"} 4
ibm_video_authenticated_viewers{…,content_type="live",view_source="unknown"} 0

== peak-viewer-numbers
ibm: {metrics: [peak_viewers], dimensions: [content_id]}
> /v1/peak-viewer-numbers?date_time_from=2018-07-16T18:20:00+00:00&date_time_to=2018-07-16T18:25:00+00:00&_page=1&_limit=10000&granularity=minute  ibm_video/peaks
> /v1/peak-viewer-numbers?date_time_from=2018-07-16T18:20:00+00:00&date_time_to=2018-07-16T18:25:00+00:00&_page=2&_limit=10000&granularity=minute  ibm_video/no_more_rows
ibm_video_peak_viewers{…,content_id="238589"} 11

== peak-viewer-numbers of one content: the largest bucket
ibm: {metrics: [peak_viewers], filters: {content_type: live, content_id: 238589}, options: {granularity: hour}}
> /v1/peak-viewer-numbers/live?date_time_from=2018-07-16T18:20:00+00:00&date_time_to=2018-07-16T18:25:00+00:00&content_id=238589&_page=1&_limit=10000&granularity=hour  ibm_video/peaks_of_one
ibm_video_peak_viewers{…} 600

== viewer-seconds: the sum of the buckets, ids as numbers and texts
ibm: {metrics: [viewer_seconds], dimensions: [content_id], filters: {content_type: live}}
> /v1/viewer-seconds/live?date_time_from=2018-07-16T18:20:00+00:00&date_time_to=2018-07-16T18:25:00+00:00&_page=1&_limit=10000&granularity=minute  ibm_video/viewer_seconds
ibm_video_viewer_seconds{…,content_id="238589"} 630
ibm_video_viewer_seconds{…,content_id="77569623"} 7

== viewer-seconds/recorded/channel
ibm: {metrics: [viewer_seconds], filters: {channel_id: [24116370, 77569623]}}
> /v1/viewer-seconds/recorded/channel?date_time_from=2018-07-16T18:20:00+00:00&date_time_to=2018-07-16T18:25:00+00:00&channel_id=24116370,77569623&_page=1&_limit=10000&granularity=minute  ibm_video/viewer_seconds_of_channel
ibm_video_viewer_seconds{…} 42

== views: the document's
ibm: {metrics: [view_segments, active_view_segments, view_sessions, watched_seconds], dimensions: [content_id, country, city, view_type, is_mobile_view]}
> /v1/views?date_time_from=2018-07-16T18:20:00+00:00&date_time_to=2018-07-16T18:25:00+00:00&_page=1&_limit=10000  ibm_video/views
> /v1/views?date_time_from=2018-07-16T18:20:00+00:00&date_time_to=2018-07-16T18:25:00+00:00&_page=2&_limit=10000  ibm_video/no_more_rows
ibm_video_active_view_segments{…,content_id="112342345",country="HU",city="Budapest",view_type="offsite",is_mobile_view="true"} 0
ibm_video_view_segments{…,content_id="112342345",country="HU",city="Budapest",view_type="offsite",is_mobile_view="true"} 1
ibm_video_view_sessions{…,content_id="112342345",country="HU",city="Budapest",view_type="offsite",is_mobile_view="true"} 1
ibm_video_watched_seconds{…,content_id="112342345",country="HU",city="Budapest",view_type="offsite",is_mobile_view="true"} 12.0

== views: only what lies inside the window counts, in any offset; what is unfinished ends with the window
ibm: {metrics: [view_segments, active_view_segments, view_sessions, watched_seconds], dimensions: [country]}
> /v1/views?date_time_from=2018-07-16T18:20:00+00:00&date_time_to=2018-07-16T18:25:00+00:00&_page=1&_limit=10000  ibm_video/views_across_the_window
ibm_video_active_view_segments{…,country="HU"} 1
ibm_video_active_view_segments{…,country="US"} 1
ibm_video_view_segments{…,country="HU"} 3
ibm_video_view_segments{…,country="US"} 3
ibm_video_view_sessions{…,country="HU"} 2
ibm_video_view_sessions{…,country="US"} 2
ibm_video_watched_seconds{…,country="HU"} 132.0
ibm_video_watched_seconds{…,country="US"} 629.5

== views by what the viewer's device is
ibm: {metrics: [view_segments], dimensions: [browser, os, device], filters: {content_type: live}, options: {inclusive_range: false}}
> /v1/views/live?date_time_from=2018-07-16T18:20:00+00:00&date_time_to=2018-07-16T18:25:00+00:00&_page=1&_limit=10000&inclusive_range=false  ibm_video/view_with_device
ibm_video_view_segments{…,browser="Chrome",os="Mac OS X",device="Other"} 1

== views without a device
ibm: {metrics: [view_segments], dimensions: [os, device]}
> /v1/views?date_time_from=2018-07-16T18:20:00+00:00&date_time_to=2018-07-16T18:25:00+00:00&_page=1&_limit=10000  ibm_video/views_across_the_window
ibm_video_view_segments{…,os="unknown",device="unknown"} 6

== views/recorded/channel
ibm: {metrics: [view_segments, active_view_segments, view_sessions, watched_seconds], filters: {channel_id: 24116370}}
> /v1/views/recorded/channel?date_time_from=2018-07-16T18:20:00+00:00&date_time_to=2018-07-16T18:25:00+00:00&channel_id=24116370&_page=1&_limit=10000  ibm_video/views_of_channel
ibm_video_active_view_segments{…} 1
ibm_video_view_segments{…} 2
ibm_video_view_sessions{…} 1
ibm_video_watched_seconds{…} 240.0

== views of a type that a row does not name again
ibm: {metrics: [view_segments], dimensions: [content_type], filters: {content_type: recorded}}
> /v1/views/recorded?date_time_from=2018-07-16T18:20:00+00:00&date_time_to=2018-07-16T18:25:00+00:00&_page=1&_limit=10000  ibm_video/views_without_a_type
ibm_video_view_segments{…,content_type="recorded"} 2

== viewers: the document's
ibm: {metrics: [viewers, videos_watched]}
> /v1/viewers?date_time_from=2018-07-16T18:20:00+00:00&date_time_to=2018-07-16T18:25:00+00:00&_page=1&_limit=10000  ibm_video/viewers
> /v1/viewers?date_time_from=2018-07-16T18:20:00+00:00&date_time_to=2018-07-16T18:25:00+00:00&_page=2&_limit=10000  ibm_video/no_more_rows
ibm_video_videos_watched{…} 10
ibm_video_viewers{…} 1

== viewers of both types: two requests; who has no name is somebody all the same
ibm: {metrics: [viewers, videos_watched], dimensions: [content_type], options: {list_unfinished_segments: false}}
> /v1/viewers/live?date_time_from=2018-07-16T18:20:00+00:00&date_time_to=2018-07-16T18:25:00+00:00&_page=1&_limit=10000&list_unfinished_segments=false  ibm_video/viewers_of_a_type
> /v1/viewers/recorded?date_time_from=2018-07-16T18:20:00+00:00&date_time_to=2018-07-16T18:25:00+00:00&_page=1&_limit=10000&list_unfinished_segments=false  ibm_video/viewers
> /v1/viewers/recorded?date_time_from=2018-07-16T18:20:00+00:00&date_time_to=2018-07-16T18:25:00+00:00&_page=2&_limit=10000&list_unfinished_segments=false  ibm_video/no_more_rows
ibm_video_videos_watched{…,content_type="live"} 13
ibm_video_videos_watched{…,content_type="recorded"} 10
ibm_video_viewers{…,content_type="live"} 4
ibm_video_viewers{…,content_type="recorded"} 1
"""

TOKENS = {
    "https://id/realms/mediamelon/protocol/openid-connect/token": "smartsight/token_password",
    "https://ss/generateOAuthToken": "smartsight/token_older",
    "https://video/oauth2/token": "ibm_video/token",
}


def blocks():
    """Give each block's query, its requests with the names of their answers, and the lines that come of it."""
    for block in TABLE.split("\n== ")[1:]:
        title, query, *lines = block.strip().splitlines()
        steps = [tuple(line[2:].split("  ")) for line in lines if line.startswith("> ")]
        yield pytest.param(query, steps, [line for line in lines if not line.startswith("> ")], id=title)


def fixture(name):
    return json.loads((FIXTURES / f"{name}.json").read_text())


class Observed:
    def requested(self, _): ...

    def throttled(self, *_): ...

    def logged_in(self, *_): ...

    def retried(self, _): ...

    def remaining(self, *_): ...


class House:
    """Everything from the file to /metrics, in front of a transport; the clocks stand."""

    def __init__(self, text, transport, now):
        self.config = load(text, name="config.yaml", env={})
        self.store = Store(self.config.queries, lambda: 0.0)
        clients = {
            name: Client(name, source.provider, Observed(), clock=lambda: now, now=lambda: now, transport=transport)
            for name, source in self.config.sources.items()
        }
        self.outcomes = []
        self.poller = Poller(clients, self.store, self.outcomes.append, now=lambda: now, clock=lambda: now)

    async def poll(self):
        """Poll each query; give those that failed."""
        for group in plan(self.config).groups:
            await self.poller.poll(group)
        return [(outcome.query.name, outcome.reason, outcome.error) for outcome in self.outcomes if outcome.reason]

    def body(self, form=Format.TEXT):
        return inflate(Exposition(self.store).body(form)).decode()

    @property
    def lines(self):
        return [line for line in self.body().splitlines() if not line.startswith("#")]


def written(login, query, **more):
    """Write a file with one query of one source."""
    source = yaml.safe_load(SOURCES)[login]
    period = {"window": "5m" if login == "ibm" else "7d", "delay": 0}
    asked = {"name": "q", "source": "s", **period, **query, **more}
    return json.dumps({"sources": {"s": source}, "queries": [asked]}, ensure_ascii=False)


async def shown(login, query, answer, **more):
    """Poll one query of a vendor that gives each GET what ``answer`` says, and each log-in a token."""

    def handle(request):
        if request.method == "POST":
            token = fixture(TOKENS[str(request.url)])
            return httpx.Response(token["status"], json=token["answer"])
        return answer(request)

    now = IBM_END if login == "ibm" else DOCUMENTS_END
    house = House(written(login, query, **more), httpx.MockTransport(handle), now)
    assert await house.poll() == []
    return house


@pytest.mark.parametrize(("query", "steps", "lines"), list(blocks()))
async def test_every_endpoint(query, steps, lines):
    asked = []

    def answer(request):
        asked.append(unquote(request.url.raw_path.decode().replace("+", "%20")))
        return httpx.Response(200, json=fixture(steps[len(asked) - 1][1])["answer"])

    [(login, asked_for)] = yaml.safe_load(query).items()
    house = await shown(login, asked_for, answer)
    assert asked == [request for request, _ in steps]
    assert house.lines == [line.replace("…", 'source="s",query="q"') for line in lines]
    assert dict(house.outcomes[0].dropped) in ({}, {"duplicate": 1})


ASKED = {
    name: request
    for block in reversed(list(blocks()))
    for request, name in block.values[1]
    if "no_more" not in name and "_page=2" not in request
}


@pytest.mark.parametrize("name", ASKED)
def test_what_is_asked_has_every_parameter_of_the_document(name):
    """With the document's values, but for the fields that are asked for and the size of a page."""
    path, _, params = ASKED[name].partition("?")
    sent = dict(param.partition("=")[::2] for param in params.split("&"))
    documented = fixture(name)["request"]
    shape = re.sub(r"<[^>]*>|{[^}]*}", "[^/]+", documented["path"].replace("session<", "session/<"))
    assert name.startswith("ibm_video/series") or re.fullmatch(f"(/v1)?{shape}", path)
    given = {param: value for param, value in documented["params"].items() if value}
    assert given.keys() <= sent.keys()
    exact = {param for param, value in given.items() if not value.startswith("<")} - {"metrics", "_limit"}
    assert {param: sent[param] for param in exact} == {param: given[param] for param in exact}


@pytest.mark.parametrize("path", sorted(FIXTURES.glob("*/*.json")), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_fixture_says_where_it_is_from(path):
    content = json.loads(path.read_text())
    assert content["document"].endswith((".txt", "README.md"))
    assert content["section"]
    assert content.get("built_from", "x")
    assert "answer" in content or content["answers"]


# --- Log-ins ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("login", "name", "form", "basic", "carried"),
    [
        (
            "oauth",
            "smartsight/token_password",
            {"username": "ops@example.com", "password": "p4ss", "grant_type": "password", "client_id": "smartsight-backend", "scope": "openid"},
            None,
            "Bearer {}",
        ),
        ("older", "smartsight/token_older", {"username": "ops@example.com", "password": "p4ss"}, None, "Bearer {}"),
        (
            "ibm",
            "ibm_video/token",
            {"grant_type": "client_credentials", "client_id": "exporter", "token_type": "jwt"},
            "Basic ZXhwb3J0ZXI6czNjcmV0",
            "{}",
        ),
    ],
)  # fmt: skip
async def test_every_login(login, name, form, basic, carried):
    sent = []

    def handle(request):
        sent.append(request)
        token = fixture(name)
        if request.method == "POST":
            return httpx.Response(token["status"], json=token["answer"])
        return httpx.Response(
            200, json=fixture("ibm_video/no_more_rows" if login == "ibm" else "smartsight/plays")["answer"]
        )

    query = {"metrics": ["total_views" if login == "ibm" else "viewercount"]}
    assert await House(written(login, query), httpx.MockTransport(handle), DOCUMENTS_END).poll() == []
    [asked, then] = sent
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert asked.headers.get("authorization") == basic
    assert asked.url.path == fixture(name)["request"]["path"]
    posted = dict(parse_qsl(asked.content.decode()))
    assert posted.items() >= form.items()
    assert login == "older" or posted == form
    assert set(fixture(name)["request"]["form"]) <= set(posted)
    assert then.headers["authorization"] == carried.format(fixture(name)["answer"]["access_token"])
    assert "x-api-key" not in then.headers


async def test_a_refresh_asks_with_the_refresh_token_alone():
    posted, carried, time = [], [], [0.0]

    def handle(request):
        if request.method == "GET":
            carried.append(request.headers["authorization"])
            return httpx.Response(200, json=fixture("smartsight/plays")["answer"])
        posted.append(dict(parse_qsl(request.content.decode())))
        token = fixture("smartsight/token_refresh" if len(posted) > 1 else "smartsight/token_password")
        return httpx.Response(token["status"], json=token["answer"])

    config = load(written("oauth", {"metrics": ["viewercount"]}), name="", env={})
    client = Client(
        "s",
        config.sources["s"].provider,
        Observed(),
        clock=lambda: time[0],
        now=lambda: 1e9,
        transport=httpx.MockTransport(handle),
    )
    [group] = plan(config).groups
    poller = Poller(
        {"s": client}, Store(config.queries, lambda: 0.0), lambda _: None, now=lambda: 1e9, clock=lambda: 0.0
    )
    await poller.poll(group)
    time[0] = 850.0
    await poller.poll(group)
    first, second = fixture("smartsight/token_password")["answer"], fixture("smartsight/token_refresh")["answer"]
    assert posted[1:] == [
        {"grant_type": "refresh_token", "refresh_token": first["refresh_token"], "client_id": "smartsight-backend"}
    ]
    assert posted[1].keys() == fixture("smartsight/token_refresh")["request"]["form"].keys()
    assert carried == [f"Bearer {first['access_token']}", f"Bearer {second['access_token']}"]


@pytest.mark.parametrize("level", fixture("smartsight/plan_level")["answers"], ids=json.dumps)
async def test_the_plan_level_is_looked_up_with_the_token(level):
    sent = []

    def answer(request):
        sent.append(request)
        if request.url.path == "/planLevelByCustId/199493832":
            return httpx.Response(200, json=level)
        return httpx.Response(200, json=fixture("smartsight/plays")["answer"])

    house = await shown("lookup", {"metrics": ["viewercount"]}, answer)
    lookup, query = sent
    bearer = f"Bearer {fixture('smartsight/token_password')['answer']['access_token']}"
    assert lookup.url.query == b""
    assert [request.headers["authorization"] for request in sent] == [bearer, bearer]
    assert query.url.params["planlevel"] == "2735"
    assert house.lines == ['smartsight_plays{source="s",query="q"} 5029111']


# --- Distributions ---------------------------------------------------------------------------------------------------

SESSIONS = {"endpoint": "listsessions", "metrics": ["latency"], "buckets": {"latency": [0.5, 1, 2]}}
EXEMPLARS = {"exemplars": True, "allow_personal_data": True}


def sessions(*rows):
    """Answer with these sessions."""
    answer = {"totalcount": len(rows), "pagecount": 1, "totalrecords": len(rows), "response": list(rows)}
    return lambda _: httpx.Response(200, json=answer)


def recorded(_):
    return httpx.Response(200, json=fixture("smartsight/listsessions")["answer"])


def marked(body):
    return [
        line.removeprefix("smartsight_session_startup_time_seconds_bucket")
        for line in body.splitlines()
        if " # {" in line
    ]


async def test_the_largest_of_a_bucket_is_its_exemplar_in_openmetrics_alone():
    house = await shown("key", SESSIONS, recorded, **EXEMPLARS)
    assert marked(house.body(Format.OPENMETRICS)) == [
        '{source="s",query="q",le="0.5"} 1 # {sessionid="s-1"} 0.5',
        '{source="s",query="q",le="1.0"} 3 # {sessionid="s-5"} 1',
        '{source="s",query="q",le="+Inf"} 4 # {sessionid="s-4"} 2.5',
    ]
    assert marked(house.body(Format.TEXT)) == []


async def test_without_exemplars_both_formats_show_the_same_lines():
    house = await shown("key", SESSIONS, recorded)
    assert house.lines == [line for line in house.body(Format.OPENMETRICS).splitlines() if not line.startswith("#")]
    assert "s-1" not in house.body(Format.OPENMETRICS)


@pytest.mark.parametrize(
    ("session", "there"),
    [("x" * 119, True), ("x" * 120, False), ("ä" * 119, True), (None, False), ("", False), ("a\\c\n%s %b # {}", True), (17, True)],
)  # fmt: skip
async def test_an_exemplar_is_what_openmetrics_admits(session, there):
    house = await shown("key", SESSIONS, sessions({"latency": 1.5, "sessionid": session}), **EXEMPLARS)
    [family] = [
        each for each in parse_openmetrics(house.body(Format.OPENMETRICS) + "# EOF\n") if each.type == "histogram"
    ]
    found = [sample.exemplar for sample in family.samples if sample.exemplar]
    assert [(each.labels, each.value) for each in found] == [({"sessionid": str(session)}, 1.5)] * there
    assert 'smartsight_sessions{source="s",query="q"} 1' in house.lines


async def test_sessions_without_a_usable_id_all_count():
    rows = [{"latency": 1, "sessionid": name} for name in (None, None, "", "", ["x"], {})] + [{"latency": 1}] * 2
    house = await shown("key", SESSIONS, sessions(*rows))
    assert house.lines[-1] == 'smartsight_sessions{source="s",query="q"} 8'


@pytest.mark.parametrize(
    ("field", "family", "bounds"),
    [
        ("latency", "startup_time_seconds", [0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 5, 7.5, 10, 15, 20, 30]),
        ("bufferingratio", "buffering_ratio", [0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5]),
        ("watchtime", "watchtime", [10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400]),
        ("brandnew", "brandnew", [0, 1, 2, 5, 10, 20, 50, 100]),
    ],
)
async def test_a_distribution_has_the_catalogue_s_bounds(field, family, bounds):
    house = await shown("key", {"endpoint": "listsessions", "metrics": [field]}, sessions({field: 3}))
    name = f"smartsight_session_{family}_bucket"
    found = [re.search('le="(.*)"', line)[1] for line in house.lines if line.startswith(name + "{")]
    assert [float(bound) for bound in found] == [*bounds, float("inf")]


async def test_top_does_not_cut_what_is_counted():
    """``top`` is about the query's rows, which are groups here."""
    rows = [{"latency": number, "cdn": cdn, "sessionid": str(number)} for number, cdn in enumerate("aabbb")]

    def answer(request):
        limit = int(request.url.params["limit"])
        return sessions(*rows[:limit])(request)

    house = await shown("key", SESSIONS | {"dimensions": ["cdn"]}, answer, top=1)
    assert house.lines[-1] == 'smartsight_sessions{source="s",query="q",cdn="b"} 3'
    assert 'cdn="a"' not in "".join(house.lines)


async def test_the_top_of_a_prepared_query_are_its_first_by_the_first_metric():
    """``smartQuery`` has no parameter ``orderby``, so its first rows are not the largest."""

    def answer(request):
        rows = fixture("smartsight/smartquery")["answer"]["response"][: int(request.url.params["limit"])]
        return httpx.Response(200, json={"totalrecords": 3, "response": rows})

    query = {
        "endpoint": "smartquery",
        "metrics": ["viewercount"],
        "dimensions": ["assetname"],
        "options": {"queryname": "contentpaths"},
    }
    house = await shown("oauth", query, answer, top=1)
    assert house.lines == ['smartsight_plays{source="s",query="q",assetname="Pilot"} 412']


# --- Everything at once, in both formats ------------------------------------------------------------------------------

EVERYTHING = """
sources:
  mm: {type: smartsight, base_url: http://ss, customer_id: 1, auth: {api_key: k}}
  old: {type: smartsight, base_url: http://ss, customer_id: 1, auth: {username: ops@example.com, password: pw, token_url: "http://ss/realms/mediamelon/protocol/openid-connect/token"}}
  ibm: {type: ibm_video, base_url: http://ibm/v1, auth: {client_id: c, client_secret: s, token_url: http://ibm/oauth2/token}}
queries:
  - {name: listsessions, source: mm, endpoint: listsessions, metrics: [latency, bufferingratio, watchtime, errors], dimensions: [cdn, country], exemplars: true, allow_personal_data: true, buckets: {latency: [1, 2, 5]}}
  - {name: metricquery, source: [mm, old], metrics: [viewercount, latency, p95_latency], dimensions: [cdn]}
  - {name: qbrdata, source: old, endpoint: qbrdata, metrics: [viewercount, latency], options: {dimension: cdn}}
  - {name: session, source: old, endpoint: session, metrics: [attempts]}
  - {name: error, source: old, endpoint: error, metrics: [errors], dimensions: [errorcode]}
  - {name: alerts, source: old, endpoint: alerts, dimensions: [severity], window: 1h}
  - {name: smartquery, source: old, endpoint: smartquery, metrics: [viewercount], dimensions: [assetname, nextasset], options: {queryname: contentpaths}}
  - {name: seconds, source: ibm, metrics: [viewer_seconds, peak_viewers], dimensions: [content_type, content_id]}
  - {name: views, source: ibm, metrics: [view_segments, active_view_segments, view_sessions, watched_seconds], dimensions: [content_type, os]}
  - {name: viewers, source: ibm, metrics: [viewers, videos_watched], dimensions: [content_type]}
  - {name: channel, source: ibm, metrics: [view_segments, viewer_seconds], filters: {channel_id: [77569623]}}
  - {name: day, source: ibm, metrics: [total_views, unique_devices], options: {bucket: day}, window: 3d}
  - {name: device, source: ibm, metrics: [authenticated_viewers], dimensions: [device]}
"""
NOVEMBER = 1_795_243_500.0


class Vendors(httpx.AsyncBaseTransport):
    """Both simulated vendors, by the host's name."""

    def __init__(self):
        login = {"username": "ops@example.com", "password": "pw"}
        self.ss = SmartSight(api_key="k", customer_id=1, clock=lambda: NOVEMBER, **login)
        self.ibm = IbmVideo(client_id="c", client_secret="s", clock=lambda: NOVEMBER)
        self.hosts = {"ss": httpx.ASGITransport(self.ss.app), "ibm": httpx.ASGITransport(self.ibm.app)}

    async def handle_async_request(self, request):
        return await self.hosts[request.url.host].handle_async_request(request)


@pytest.fixture(scope="module")
def everything():
    """Both bodies of all endpoints."""
    house = House(EVERYTHING, Vendors(), NOVEMBER)
    assert asyncio.run(house.poll()) == []
    assert all(outcome.series and not outcome.dropped for outcome in house.outcomes)
    return {form: house.body(form) for form in Format}


def test_both_formats_parse_and_say_the_same(everything):
    text = {family.name: family for family in parse_text(everything[Format.TEXT])}
    openmetrics = {family.name: family for family in parse_openmetrics(everything[Format.OPENMETRICS] + "# EOF\n")}
    assert text.keys() == openmetrics.keys()
    for name, family in text.items():
        other = openmetrics[name]
        assert (family.type, family.documentation) == (other.type, other.documentation)
        assert [sample[:3] for sample in family.samples] == [sample[:3] for sample in other.samples]
    assert {family.type for family in text.values()} == {"gauge", "histogram"}


def test_every_exemplar_lies_in_its_bucket(everything):
    families = parse_openmetrics(everything[Format.OPENMETRICS] + "# EOF\n")
    samples = [sample for family in families for sample in family.samples]
    found = 0
    for below, sample in pairwise(samples):
        if sample.exemplar:
            found += 1
            low = (
                float(below.labels["le"])
                if below.name == sample.name and below.labels["le"] != "+Inf"
                else float("-inf")
            )
            assert low < sample.exemplar.value <= float(sample.labels["le"])
    assert found > 20
    assert " # {" not in everything[Format.TEXT]


def test_buckets_rise_to_the_count_which_is_that_of_the_sessions(everything):
    families = {family.name: family for family in parse_text(everything[Format.TEXT])}
    sessions = {(s.labels["cdn"], s.labels["country"]): s.value for s in families["smartsight_sessions"].samples}
    for family in families.values():
        for below, sample in pairwise(family.samples if family.type == "histogram" else ()):
            if below.name == sample.name == f"{family.name}_bucket" and below.labels["le"] != "+Inf":
                assert below.value <= sample.value
            if sample.name.endswith("_count"):
                assert sample.value <= sessions[sample.labels["cdn"], sample.labels["country"]]


@pytest.mark.real("promtool")
def test_promtool_has_nothing_to_say(everything):
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=everything[Format.TEXT], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


# --- What check refuses -----------------------------------------------------------------------------------------------

REFUSED = """
key     endpoint: qbrdata | metrics: [latency]                                                  endpoint             qbrdata, user name and a password, metricquery, listsessions
key     dimensions: [severity] | endpoint: alerts                                               endpoint             alerts, API key, metricquery, listsessions
oauth   metrics: [latency] | endpoint: listsessions                                             endpoint             listsessions, an API key, metricquery, qbrdata, session, smartquery, error, alerts
key     metrics: [latency] | endpoint: listsession                                              endpoint             listsession, did you mean `listsessions`, qbrdata
oauth   endpoint: smartquery | metrics: [viewercount]                                           options              queryname
oauth   endpoint: smartquery | metrics: [viewercount] | options: {querycache: true}             options              queryname
oauth   endpoint: alerts | metrics: [errors]                                                    metrics              metrics
oauth   endpoint: qbrdata                                                                       metrics              is missing
oauth   endpoint: alerts | filters: {severity: critical}                                        filters              alerts
oauth   endpoint: alerts | having: latency>3                                                    having               alerts
oauth   endpoint: session | metrics: [latency] | having: latency>3                              having               session
oauth   endpoint: qbrdata | metrics: [latency] | having: latency>3                              having               qbrdata
oauth   endpoint: error | metrics: [errors] | having: errors>3                                  having               error
oauth   endpoint: smartquery | metrics: [viewercount] | options: {queryname: x} | having: a>3   having               smartquery
key     metrics: [latency] | exemplars: true | allow_personal_data: true                        exemplars            listsessions
key     metrics: [latency] | buckets: {latency: [1]}                                            buckets              listsessions
key     endpoint: listsessions | metrics: [latency] | exemplars: true                           exemplars            allow_personal_data
key     endpoint: listsessions | metrics: [latency] | buckets: {latency: [2, 1]}                buckets.latency      rise
key     endpoint: listsessions | metrics: [latency] | buckets: {latency: []}                    buckets.latency      at least
key     endpoint: listsessions | metrics: [latency] | buckets: {latency: [.inf]}                buckets.latency[0]   number
key     endpoint: listsessions | metrics: [latency] | buckets: {latency: [-1, 0]}               buckets.latency[0]   0
key     endpoint: listsessions | metrics: [{field: latency, name: a}, latency]                  metrics[1]           stands twice
key     endpoint: listsessions | metrics: [latency, sessions]                                   metrics[1]           sessions
key     endpoint: listsessions | metrics: [latency] | buckets: {latncy: [1]}                    buckets.latncy       did you mean `latency`
key     endpoint: listsessions | metrics: [latency] | dimensions: [sessionid]                   dimensions[0]        allow_personal_data
ibm     metrics: [total_views] | options: {bucket: week}                                        options.bucket       month, day, hour
ibm     metrics: [total_views] | dimensions: [device] | options: {bucket: day}                  options.bucket       device
ibm     metrics: [total_views, viewer_seconds] | options: {bucket: day}                         metrics[1]           viewer_seconds
ibm     metrics: [view_segments] | filters: {channel_id: 7, content_type: live}                 filters.channel_id   recorded
ibm     metrics: [view_segments] | filters: {channel_id: 7, content_id: 8, content_type: recorded}   filters.channel_id   content_id
ibm     metrics: [view_segments, total_views] | filters: {channel_id: 7}                        metrics[1]           total_views, views, viewer-seconds
ibm     metrics: [viewers] | filters: {channel_id: 7}                                           metrics[0]           viewers
ibm     metrics: [peak_viewers] | dimensions: [content_id] | filters: {channel_id: 7}           metrics[0]           peak_viewers
ibm     metrics: [viewers] | dimensions: [country]                                              metrics[0]           country
ibm     metrics: [view_segments] | dimensions: [location]                                       metrics[0]           location
ibm     metrics: [total_views] | exemplars: true | allow_personal_data: true                    exemplars            smartsight
ibm     metrics: [total_views] | buckets: {total_views: [1]}                                    buckets              smartsight
ibm     metrics: [total_views] | endpoint: total-views                                          endpoint             smartsight
"""  # fmt: skip
ACCEPTED = """
key     metrics: [latency] | endpoint: metricquery | having: latency>3
key     endpoint: listsessions | metrics: [latency] | having: latency>3 | filters: {cdn: a}
key     endpoint: listsessions | metrics: [latency] | exemplars: true | allow_personal_data: true
oauth   endpoint: alerts
oauth   endpoint: alerts | dimensions: [severity]
oauth   endpoint: error | metrics: [errors] | filters: {platform: Web} | options: {dimension: all, agg: sum, count: 7}
oauth   endpoint: smartquery | metrics: [viewercount] | options: {queryname: x} | filters: {country: US}
oauth   metrics: [latency] | having: latency>3
ibm     metrics: [total_views] | dimensions: [content_type] | options: {bucket: hour}
ibm     metrics: [view_segments, viewer_seconds] | filters: {channel_id: [7, 8]}
ibm     metrics: [view_segments] | filters: {channel_id: 7, content_type: recorded}
ibm     metrics: [view_segments] | dimensions: [content_type, content_id, country, city, view_type, is_mobile_view, browser, os, device]
ibm     metrics: [viewers, videos_watched] | dimensions: [content_type]
"""


def table(text):
    return [re.split(r" {2,}", line) for line in text.splitlines() if line]


def file(login, keys):
    """Write a file whose query has a key a line; the first of them stands in line 5."""
    source = yaml.safe_load(SOURCES)[login]
    return "\n".join(
        [f"sources: {json.dumps({'s': source})}", "queries:", "  - name: q", "    source: s"]
        + [f"    {key}" for key in keys]
    )  # fmt: skip


@pytest.mark.parametrize(("login", "query", "path", "words"), table(REFUSED))
def test_check_refuses(login, query, path, words):
    keys = query.split(" | ")
    with pytest.raises(ConfigError) as caught:
        load(file(login, keys), name="config.yaml", env={})
    named = [key.partition(":")[0] for key in keys]
    key = re.match(r"\w+", path)[0]
    where = f"config.yaml:{5 + named.index(key) if key in named else 3}: queries[0].{path}"
    [line] = [line for line in caught.value.lines if line.startswith((f"{where}: ", f"{where}.", f"{where}["))]
    assert all(word in line for word in words.split(", "))
    assert len(caught.value.lines) == 1


@pytest.mark.parametrize(("login", "query"), table(ACCEPTED))
def test_check_accepts(login, query):
    assert load(file(login, query.split(" | ")), name="config.yaml", env={}).queries


def test_of_several_sources_the_one_that_can_t_reach_an_endpoint_is_told():
    sources = yaml.safe_load(SOURCES)
    queries = [{"name": "q", "source": ["key", "oauth"], "endpoint": "listsessions", "metrics": ["latency"]}]
    with pytest.raises(ConfigError, match=r"queries\[0\].endpoint: `listsessions` takes an API key") as caught:
        load(json.dumps({"sources": sources, "queries": queries}), name="config.yaml", env={})
    assert len(caught.value.lines) == 1


# --- What is deprecated -----------------------------------------------------------------------------------------------

DEPRECATED = """
metrics: [viewercount]
metrics: [viewercount, latency], dimensions: [cdn, country], filters: {country: [US, Canada], platform: Android}
metrics: [viewercount], dimensions: [cdn], options: {dimension: cdn, agg: sum, count: 5}
metrics: [viewercount], dimensions: [subscriberid], allow_personal_data: true
metrics: [{field: sumbuffwaitcirr, name: a_ratio}, cirrbufferingratio]
metrics: [{field: mystat, name: smartsight_my_stat_seconds, scale: 0.001, help: "Mine."}]
metrics: [viewercount, latency], dimensions: [assetname], top: 5, order_by: latency, order: asc
metrics: [viewercount], filters: {assetname: ["🎬 Ärger", "5 $$", "$${HOME}", 'a "b" \\ c: d']}
"""


@pytest.mark.parametrize("endpoint", ["qbrdata", "session"])
@pytest.mark.parametrize("query", DEPRECATED.strip().splitlines())
def test_the_advice_holds_a_query_that_asks_the_same_of_the_endpoint_that_stays(endpoint, query):
    old = load(written("oauth", yaml.safe_load(f"{{{query}}}"), endpoint=endpoint), name="", env={})
    provider, [asked] = old.sources["s"].provider, old.queries
    advice = provider.advice(asked)
    assert "\n" not in advice
    assert all(word in advice for word in (f"`{endpoint}`", "deprecated", "`metricquery`"))
    better = advice[advice.index("{") :]
    source = json.dumps(yaml.safe_load(SOURCES)["oauth"])
    new = load(f"sources:\n  s: {source}\nqueries:\n  - {better}\n", name="", env={})
    [instead] = new.queries
    assert instead.endpoint == "metricquery"
    assert provider.advice(instead) == ""
    for same in ("name", "source", "dimensions", "filters", "metrics", "top", "order_by", "order", "labels"):
        assert getattr(instead, same) == getattr(asked, same), same


@pytest.mark.parametrize(
    ("login", "query"),
    [("key", "metrics: [latency]"), ("oauth", "endpoint: error, metrics: [errors]"), ("oauth", "endpoint: alerts"), ("ibm", "metrics: [viewers]")],
)  # fmt: skip
def test_what_is_not_deprecated_has_no_advice(login, query):
    config = load(written(login, yaml.safe_load(f"{{{query}}}")), name="", env={})
    assert config.sources["s"].provider.advice(config.queries[0]) == ""
