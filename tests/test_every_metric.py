"""Every metric of the contract's section 4: what the vendor sends, and the line that Prometheus reads."""

# ruff: noqa: E501 - the tables are to be read line by line

import json
import re

import pytest

from exporter.aggregate import Aggregate
from exporter.config import load
from exporter.exposition import Renderer
from exporter.gzipped import inflate
from exporter.model import Turn, Window
from exporter.normalise import Tabulator
from exporter.plan import plan
from exporter.providers.ibm_video import IbmVideo
from exporter.providers.smartsight import SmartSight

SMARTSIGHT = """
{"viewercount": 5029111}                          smartsight_plays{…} 5029111
{"attempts": 5140361}                             smartsight_attempts{…} 5140361
{"endedplays": 5440}                              smartsight_ended_plays{…} 5440
{"views": 71}                                     smartsight_views{…} 71
{"concurviewavg": 52911}                          smartsight_concurrent_views{…} 52911
{"playdur": 6797067654.0}                         smartsight_playtime_seconds{…} 6797067654.0
{"totalduration": 3949121578}                     smartsight_video_duration_seconds{…} 3949121578
{"avg_playtime_by_audience": 22.5}                smartsight_playtime_per_viewer_seconds{…} 1350.0
{"uniqueviewercount": 12}                         smartsight_unique_viewers{…} 12
{"uniquesubscribercount": 13}                     smartsight_unique_subscribers{…} 13
{"unique_subscribers": 14}                        smartsight_unique_subscribers{…} 14
{"unique_devices": 15}                            smartsight_unique_devices{…} 15
{"anonymous_viewers": 16}                         smartsight_anonymous_viewers{…} 16
{"qualityofexperience": 87.25}                    smartsight_playback_score{…} 87.25
{"avg_qualityofexperience": 86.5}                 smartsight_playback_score_avg{…} 86.5
{"median_qualityofexperience": 90}                smartsight_playback_score_median{…} 90
{"latency": 1.4630588827727207}                   smartsight_startup_time_seconds{…} 1.4630588827727207
{"avg_latency": 1.5}                              smartsight_startup_time_avg_seconds{…} 1.5
{"median_latency": 1.25}                          smartsight_startup_time_median_seconds{…} 1.25
{"p95_latency": 4.5}                              smartsight_startup_time_p95_seconds{…} 4.5
{"p99_latency": 8.986333333333333}                smartsight_startup_time_p99_seconds{…} 8.986333333333333
{"bufferingratio": 0.4690097628503022}            smartsight_buffering_ratio{…} 0.004690097628503022
{"cirrbufferingratio": 1.1}                       smartsight_connection_induced_rebuffering_ratio{…} 0.011
{"sumbuffwaitcirr": 0.27824154511000987}          smartsight_connection_induced_rebuffering_ratio{…} 0.0027824154511000986
{"vrtbufferingratio": 0.21285364991616879}        smartsight_video_restart_ratio{…} 0.002128536499161688
{"sumbuffwaitvrt": 100}                           smartsight_video_restart_ratio{…} 1.0
{"failurerate": 0.6578331755298898}               smartsight_startup_failure_ratio{…} 0.006578331755298898
{"startupabandonmentrate": 1.5064117092165317}    smartsight_exit_before_start_ratio{…} 0.015064117092165317
{"totalstartupfailure": 33815}                    smartsight_startup_failures{…} 33815
{"errors": 4301460}                               smartsight_errors{…} 4301460
{"fatalerrors": 0}                                smartsight_fatal_errors{…} 0
{"cdn_change_rate": 7}                            smartsight_cdn_change_ratio{…} 0.07
{"cbrsize": "9007199254740993"}                   smartsight_downloaded_bytes{…} 9007199254740993
{"adfillrate": "97.3"}                            smartsight_ad_fill_ratio{…} 0.973
{"adimpression": 480}                             smartsight_ad_impressions{…} 480
{"totaladimpression": 481}                        smartsight_total_ad_impressions{…} 481

{"p95_bufferingratio": 3}                         smartsight_buffering_p95_ratio{…} 0.03
{"median_viewercount": 3}                         smartsight_plays_median{…} 3
{"p99_sumbuffwaitvrt": 12.5}                      smartsight_video_restart_p99_ratio{…} 0.125
{"avg_cbrsize": 1048576}                          smartsight_downloaded_avg_bytes{…} 1048576
{"p99_avg_playtime_by_audience": 2}               smartsight_playtime_per_viewer_p99_seconds{…} 120
{"brandnewfield": 1.5}                            smartsight_brandnewfield{…} 1.5
{"p95_brand-new.field": 33}                       smartsight_p95_brand_new_field{…} 33
"""

IBM = """
/total-views/summary                    {"dimension_type": "summary", "point": "summary", "value": 11}          ibm_video_total_views{…} 11
/total-views/live/summary               {"dimension_type": "summary", "point": "summary", "value": 12}          ibm_video_total_views{…,content_type="live"} 12
/total-views/location                   {"dimension_type": "location", "point": ["US", "Texas"], "value": 13}   ibm_video_total_views{…,location="US/Texas"} 13
/unique-devices/summary                 {"dimension_type": "summary", "point": "summary", "value": 14}          ibm_video_unique_devices{…} 14
/unique-devices/recorded/view-source    {"dimension_type": "view-source", "point": "embed", "value": "15"}      ibm_video_unique_devices{…,content_type="recorded",view_source="embed"} 15
/authenticated-viewers/device           {"dimension_type": "device", "point": "", "value": 16}                  ibm_video_authenticated_viewers{…,device="unknown"} 16
/authenticated-viewers/country          {"dimension_type": "country", "point": ["HU"], "value": 17}             ibm_video_authenticated_viewers{…,country="HU"} 17
/peak-viewer-numbers                    {"content_type": "live", "content_id": 238589, "time": "1997-07-16T00:00:00+01:00", "value": 11}    ibm_video_peak_viewers{…,content_id="238589"} 11
/peak-viewer-numbers/recorded           {"content_type": "recorded", "content_id": "112342345", "time": "1997-07-16T00:00:00+01:00", "value": 0}    ibm_video_peak_viewers{…,content_type="recorded",content_id="112342345"} 0
/viewer-seconds                         {"content_type": "live", "content_id": 238589, "time": "2026-04-09T15:50:00+00:00", "value": 61}    ibm_video_viewer_seconds{…,content_id="238589"} 61
/views                                  {"view_id": "4bfc69b5", "view_session_id": "7f66d911:8b7aa82c", "content_type": "live", "content_id": "112342345", "country": "HU", "started_at": "2026-04-09T17:51:00+02:00", "finished_at": "2026-04-09T15:52:12+00:00", "is_mobile_view": true, "device_info": {"os": {"family": "iOS"}}}    ibm_video_view_segments{…} 1
/views/live                             {"view_id": "4bfc69b5", "view_session_id": "7f66d911:8b7aa82c", "content_type": "live", "content_id": "112342345", "country": "HU", "started_at": "2026-04-09T17:51:00+02:00", "finished_at": "2026-04-09T15:52:12+00:00", "is_mobile_view": true, "device_info": {"os": {"family": "iOS"}}}    ibm_video_view_segments{…,content_type="live",content_id="112342345"} 1
/views                                  {"view_id": "4bfc69b5", "view_session_id": "7f66d911:8b7aa82c", "content_type": "live", "content_id": "112342345", "country": "HU", "started_at": "2026-04-09T17:51:00+02:00", "finished_at": "2026-04-09T15:52:12+00:00", "is_mobile_view": true, "device_info": {"os": {"family": "iOS"}}}    ibm_video_active_view_segments{…} 0
/views                                  {"view_id": "4bfc69b5", "view_session_id": "7f66d911:8b7aa82c", "content_type": "live", "content_id": "112342345", "country": "HU", "started_at": "2026-04-09T17:51:00+02:00", "finished_at": null, "is_mobile_view": true, "device_info": {"os": {"family": "iOS"}}}    ibm_video_active_view_segments{…,os="iOS"} 1
/views                                  {"view_id": "4bfc69b5", "view_session_id": "7f66d911:8b7aa82c", "content_type": "live", "content_id": "112342345", "country": "HU", "started_at": "2026-04-09T17:51:00+02:00", "finished_at": "2026-04-09T15:52:12+00:00", "is_mobile_view": true, "device_info": {"os": {"family": "iOS"}}}    ibm_video_view_sessions{…,is_mobile_view="true"} 1
/views                                  {"view_id": "4bfc69b5", "view_session_id": "7f66d911:8b7aa82c", "content_type": "live", "content_id": "112342345", "country": "HU", "started_at": "2026-04-09T17:51:00+02:00", "finished_at": "2026-04-09T15:52:12+00:00", "is_mobile_view": true, "device_info": {"os": {"family": "iOS"}}}    ibm_video_watched_seconds{…,country="HU",os="iOS"} 72.0
/views                                  {"view_id": "4bfc69b5", "view_session_id": "7f66d911:8b7aa82c", "content_type": "live", "content_id": "112342345", "country": "HU", "started_at": "2026-04-09T17:51:00+02:00", "finished_at": null, "is_mobile_view": true, "device_info": {"os": {"family": "iOS"}}}    ibm_video_watched_seconds{…} 240.0
/viewers                                {"last_activity": "2026-04-09T15:52:12+00:00", "segments": [], "videos_watched": 10, "viewer_identifier": "some.viewer@example.com"}    ibm_video_viewers{…} 1
/viewers/recorded                       {"videos_watched": 10, "viewer_identifier": "some.viewer@example.com"}    ibm_video_videos_watched{…,content_type="recorded"} 10
"""

CONTRACT = frozenset(
    """
    viewercount attempts endedplays views concurviewavg playdur totalduration avg_playtime_by_audience uniqueviewercount
    uniquesubscribercount unique_subscribers unique_devices anonymous_viewers qualityofexperience latency bufferingratio
    cirrbufferingratio sumbuffwaitcirr vrtbufferingratio sumbuffwaitvrt failurerate startupabandonmentrate
    totalstartupfailure errors fatalerrors cdn_change_rate cbrsize adfillrate adimpression totaladimpression
    """.split()  # noqa: SIM905 - as the contract lists them
)
IBM_CONTRACT = frozenset(
    """
    total_views unique_devices authenticated_viewers peak_viewers viewer_seconds view_segments active_view_segments
    view_sessions watched_seconds viewers videos_watched
    """.split()  # noqa: SIM905 - as the contract lists them
)
UNITS = ("seconds", "ratio", "bytes")
TYPES = {
    "peak-viewer-numbers": "PeakSeries",
    "viewer-seconds": "ViewerSecondSeries",
    "views": "View",
    "viewers": "Viewer",
}
WINDOW = Window(1775749800, 1775750100)  # 2026-04-09 15:50 to 15:55 UTC


def table(text):
    """Split each line at its runs of spaces."""
    return [re.split(r" {2,}", line) for line in text.splitlines() if line]


def exposed(source, query, path, answer):
    """Take an answer the whole way; give the lines of the chunks."""
    data = {"sources": {"s": source}, "queries": [{**query, "name": "q", "source": "s"}]}
    [job] = plan(load(json.dumps(data), name="", env={})).jobs
    [part] = [part for part in job.parts if part.path == path]
    page = job.provider.parse(job.query, Turn(part, WINDOW), answer)
    tabulator = Tabulator(job.query)
    if part.folds:
        aggregate = Aggregate(job.query, part)
        aggregate.add(page.rows)
        aggregate.finish(tabulator)
    else:
        tabulator.add(page.rows, part.fields)
    chunks = Renderer().render(tabulator.table())
    return "".join(inflate(chunk.lines).decode() for chunk in chunks).splitlines()


def smartsight(row):
    source = {"type": "smartsight", "customer_id": 7, "auth": {"api_key": "key"}}
    answer = {"totalcount": 1, "pagecount": 1, "totalrecords": 1, "response": [{**row, "totalpages": 1}]}
    return exposed(source, {"metrics": list(row)}, "/mm-apis/metricquery/7", answer)


def ibm(path, attributes, line):
    """Ask for the metric of a line by the line's labels."""
    source = {"type": "ibm_video", "auth": {"client_id": "id", "client_secret": "secret"}}
    family, _, labels = line.partition("{")
    typed = [step for step in path.split("/") if step in ("live", "recorded")]
    query = {
        "metrics": [family.removeprefix("ibm_video_")],
        "dimensions": re.findall(r"(\w+)=", labels),
        "filters": {"content_type": typed} if typed else {},
    }
    answer = {"data": [{"type": TYPES.get(path.split("/")[1], "Series"), "attributes": attributes}], "pagination": {}}
    return exposed(source, query, path, answer)


@pytest.mark.parametrize(("row", "line"), table(SMARTSIGHT))
def test_a_smartsight_row_becomes_this_line(row, line):
    assert smartsight(json.loads(row)) == [line.replace("…", 'source="s",query="q"')]


@pytest.mark.parametrize(("path", "attributes", "line"), table(IBM))
def test_an_ibm_row_becomes_this_line(path, attributes, line):
    assert ibm(path, json.loads(attributes), line) == [line.replace("…", 'source="s",query="q"')]


def test_the_table_above_shows_the_contract_s_and_the_catalogue_s_every_field():
    shown = {field for row, _ in table(SMARTSIGHT) for field in json.loads(row)}
    assert shown >= CONTRACT
    assert {field for field, known in SmartSight.catalog.known.items() if not known.statistic} == CONTRACT
    assert set(IbmVideo.catalog.known) == IBM_CONTRACT
    assert {line.partition("{")[0] for _, _, line in table(IBM)} == {f"ibm_video_{field}" for field in IBM_CONTRACT}


@pytest.mark.parametrize("statistic", ["avg", "median", "p95", "p99"])
@pytest.mark.parametrize("field", sorted(CONTRACT))
def test_a_statistic_of_any_field_stands_before_the_unit_and_has_the_field_s_scale(field, statistic):
    [plain], [line] = smartsight({field: 50}), smartsight({f"{statistic}_{field}": 50})
    name, _, rest = plain.partition("{")
    stem, _, last = name.rpartition("_")
    composed = f"{stem}_{statistic}_{last}" if last in UNITS else f"{name}_{statistic}"
    assert line == composed + "{" + rest
