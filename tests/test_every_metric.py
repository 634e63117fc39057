"""Every metric of the contract's section 4: what the vendor sends, and the line that Prometheus reads."""

# ruff: noqa: E501 - the tables are to be read line by line

import json
import re

import pytest

from exporter.config import load
from exporter.exposition import Renderer
from exporter.gzipped import inflate
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
"""

CONTRACT = frozenset(
    """
    viewercount attempts endedplays views concurviewavg playdur totalduration avg_playtime_by_audience uniqueviewercount
    uniquesubscribercount unique_subscribers unique_devices anonymous_viewers qualityofexperience latency bufferingratio
    cirrbufferingratio sumbuffwaitcirr vrtbufferingratio sumbuffwaitvrt failurerate startupabandonmentrate
    totalstartupfailure errors fatalerrors cdn_change_rate cbrsize adfillrate adimpression totaladimpression
    """.split()  # noqa: SIM905 - as the contract lists them
)
UNITS = ("seconds", "ratio", "bytes")


def table(text):
    """Split each line at its runs of spaces."""
    return [re.split(r" {2,}", line) for line in text.splitlines() if line]


def exposed(source, query, path, answer):
    """Take an answer the whole way; give the lines of the chunks."""
    [job] = plan(
        load(
            json.dumps({"sources": {"s": source}, "queries": [{**query, "name": "q", "source": "s"}]}), name="", env={}
        )
    )
    [part] = [part for part in job.parts if part.path == path]
    page = job.provider.parse(job.query, part, answer, None)
    tabulator = Tabulator(job.query)
    tabulator.add(page.rows, part.fields, part.fold)
    chunks = Renderer().render(tabulator.table())
    return "".join(inflate(chunk.lines).decode() for chunk in chunks).splitlines()


def smartsight(row):
    source = {"type": "smartsight", "customer_id": 7, "auth": {"api_key": "key"}}
    answer = {"totalcount": 1, "pagecount": 1, "totalrecords": 1, "response": [{**row, "totalpages": 1}]}
    return exposed(source, {"metrics": list(row)}, "/mm-apis/metricquery/7", answer)


def ibm(path, attributes):
    source = {"type": "ibm_video", "auth": {"client_id": "id", "client_secret": "secret"}}
    metric, *steps = path.replace("-", "_")[1:].split("/")
    peak = metric == "peak_viewer_numbers"
    typed = [step for step in steps if step in ("live", "recorded")]
    by = ["content_id"] if peak else [step for step in steps if step not in ("summary", *typed)]
    query = {
        "metrics": ["peak_viewers" if peak else metric],
        "dimensions": ["content_type"] * bool(typed) + by,
        "filters": {"content_type": typed} if typed else {},
    }
    answer = {"data": [{"type": "PeakSeries" if peak else "Series", "attributes": attributes}], "pagination": {}}
    return exposed(source, query, path, answer)


@pytest.mark.parametrize(("row", "line"), table(SMARTSIGHT))
def test_a_smartsight_row_becomes_this_line(row, line):
    assert smartsight(json.loads(row)) == [line.replace("…", 'source="s",query="q"')]


@pytest.mark.parametrize(("path", "attributes", "line"), table(IBM))
def test_an_ibm_row_becomes_this_line(path, attributes, line):
    assert ibm(path, json.loads(attributes)) == [line.replace("…", 'source="s",query="q"')]


def test_the_table_above_shows_the_contract_s_and_the_catalogue_s_every_field():
    shown = {field for row, _ in table(SMARTSIGHT) for field in json.loads(row)}
    assert shown >= CONTRACT
    assert {field for field, known in SmartSight.catalog.known.items() if not known.statistic} == CONTRACT
    assert set(IbmVideo.catalog.known) == {"total_views", "unique_devices", "authenticated_viewers", "peak_viewers"}


@pytest.mark.parametrize("statistic", ["avg", "median", "p95", "p99"])
@pytest.mark.parametrize("field", sorted(CONTRACT))
def test_a_statistic_of_any_field_stands_before_the_unit_and_has_the_field_s_scale(field, statistic):
    [plain], [line] = smartsight({field: 50}), smartsight({f"{statistic}_{field}": 50})
    name, _, rest = plain.partition("{")
    stem, _, last = name.rpartition("_")
    composed = f"{stem}_{statistic}_{last}" if last in UNITS else f"{name}_{statistic}"
    assert line == composed + "{" + rest
