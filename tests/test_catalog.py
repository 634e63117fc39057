import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.catalog import load, sanitise
from exporter.model import Metric

SMARTSIGHT = load("smartsight")
IBM = load("ibm_video")

TABLE = """
viewercount               smartsight_plays                                    1
attempts                  smartsight_attempts                                 1
endedplays                smartsight_ended_plays                              1
views                     smartsight_views                                    1
concurviewavg             smartsight_concurrent_views                         1
playdur                   smartsight_playtime_seconds                         1
totalduration             smartsight_video_duration_seconds                   1
avg_playtime_by_audience  smartsight_playtime_per_viewer_seconds              60
uniqueviewercount         smartsight_unique_viewers                           1
uniquesubscribercount     smartsight_unique_subscribers                       1
unique_subscribers        smartsight_unique_subscribers                       1
unique_devices            smartsight_unique_devices                           1
anonymous_viewers         smartsight_anonymous_viewers                        1
qualityofexperience       smartsight_playback_score                           1
avg_qualityofexperience   smartsight_playback_score_avg                       1
median_qualityofexperience smartsight_playback_score_median                   1
latency                   smartsight_startup_time_seconds                     1
avg_latency               smartsight_startup_time_avg_seconds                 1
median_latency            smartsight_startup_time_median_seconds              1
p95_latency               smartsight_startup_time_p95_seconds                 1
p99_latency               smartsight_startup_time_p99_seconds                 1
bufferingratio            smartsight_buffering_ratio                          0.01
cirrbufferingratio        smartsight_connection_induced_rebuffering_ratio     0.01
sumbuffwaitcirr           smartsight_connection_induced_rebuffering_ratio     0.01
vrtbufferingratio         smartsight_video_restart_ratio                      0.01
sumbuffwaitvrt            smartsight_video_restart_ratio                      0.01
failurerate               smartsight_startup_failure_ratio                    0.01
startupabandonmentrate    smartsight_exit_before_start_ratio                  0.01
totalstartupfailure       smartsight_startup_failures                         1
errors                    smartsight_errors                                   1
fatalerrors               smartsight_fatal_errors                             1
cdn_change_rate           smartsight_cdn_change_ratio                         0.01
cbrsize                   smartsight_downloaded_bytes                         1
adfillrate                smartsight_ad_fill_ratio                            0.01
adimpression              smartsight_ad_impressions                           1
totaladimpression         smartsight_total_ad_impressions                     1
"""
ROWS = [line.split() for line in TABLE.strip().splitlines()]

VARIANTS = """
avg_bufferingratio              smartsight_buffering_avg_ratio                              0.01
p95_bufferingratio              smartsight_buffering_p95_ratio                              0.01
median_viewercount              smartsight_plays_median                                     1
p99_playdur                     smartsight_playtime_p99_seconds                             1
p95_sumbuffwaitcirr             smartsight_connection_induced_rebuffering_p95_ratio         0.01
avg_unique_subscribers          smartsight_unique_subscribers_avg                           1
avg_cbrsize                     smartsight_downloaded_avg_bytes                             1
median_cdn_change_rate          smartsight_cdn_change_median_ratio                          0.01
avg_concurviewavg               smartsight_concurrent_views_avg                             1
p95_qualityofexperience         smartsight_playback_score_p95                               1
p95_avg_playtime_by_audience    smartsight_playtime_per_viewer_p95_seconds                  60
"""

MAY_BE_SUMMED = [
    "viewercount",
    "attempts",
    "endedplays",
    "playdur",
    "totalduration",
    "errors",
    "fatalerrors",
    "cbrsize",
    "adimpression",
]
MUST_NOT_BE_SUMMED = [
    *["uniqueviewercount", "uniquesubscribercount", "unique_subscribers", "unique_devices", "anonymous_viewers"],
    *[
        "qualityofexperience",
        "latency",
        "p95_latency",
        "avg_latency",
        "bufferingratio",
        "failurerate",
        "startupabandonmentrate",
    ],
    *["cdn_change_rate", "adfillrate", "avg_playtime_by_audience", "avg_viewercount", "median_errors", "p99_playdur"],
]


def facts(metric):
    return metric.field, metric.family.name, metric.scale


@pytest.mark.parametrize(("field", "family", "scale"), ROWS, ids=[row[0] for row in ROWS])
def test_the_contracts_table(field, family, scale):
    assert facts(SMARTSIGHT.metric(field)) == (field, family, float(scale))


@pytest.mark.parametrize(("field", "family", "scale"), [line.split() for line in VARIANTS.strip().splitlines()])
def test_a_statistic_stands_before_the_unit_and_last_where_there_is_none(field, family, scale):
    assert facts(SMARTSIGHT.metric(field)) == (field, family, float(scale))


@pytest.mark.parametrize("statistic", ["avg", "median", "p95", "p99"])
@pytest.mark.parametrize(
    "field", [row[0] for row in ROWS if not row[0].startswith(("avg_", "median_", "p95_", "p99_"))]
)
def test_every_field_has_every_statistic(field, statistic):
    plain, found = SMARTSIGHT.metric(field), SMARTSIGHT.metric(f"{statistic}_{field}")
    stem, _, last = plain.family.name.rpartition("_")
    with_unit = last in ("seconds", "ratio", "bytes")
    assert found.family.name == (f"{stem}_{statistic}_{last}" if with_unit else f"{plain.family.name}_{statistic}")
    assert found.scale == plain.scale
    assert SMARTSIGHT.is_statistic(f"{statistic}_{field}")
    assert not SMARTSIGHT.is_statistic(field)


def test_the_catalogue_has_the_contracts_fields_and_no_others():
    plain = {field for field, known in SMARTSIGHT.known.items() if not known.statistic}
    assert plain == {row[0] for row in ROWS if not row[0].startswith(("avg_q", "median_", "p95_", "p99_", "avg_l"))}


def test_no_two_fields_share_a_family_unless_they_mean_the_same():
    families = {}
    for field, known in SMARTSIGHT.known.items():
        families.setdefault(known.family, set()).add(field)
    shared = {frozenset(fields) for fields in families.values() if len(fields) > 1}
    pairs = [
        ("uniquesubscribercount", "unique_subscribers"),
        ("cirrbufferingratio", "sumbuffwaitcirr"),
        ("vrtbufferingratio", "sumbuffwaitvrt"),
    ]
    prefixes = ("", "avg_", "median_", "p95_", "p99_")
    assert shared == {frozenset(f"{prefix}{field}" for field in pair) for pair in pairs for prefix in prefixes}


@pytest.mark.parametrize(
    ("field", "family"),
    [
        ("mystat", "smartsight_mystat"),
        ("my-stat.x y", "smartsight_my_stat_x_y"),
        ("MyStat", "smartsight_MyStat"),
        ("Latency", "smartsight_Latency"),
        ("p95_mystat", "smartsight_p95_mystat"),
        ("p90_latency", "smartsight_p90_latency"),
        ("avg_avg_latency", "smartsight_avg_avg_latency"),
        ("größe", "smartsight_gr__e"),
    ],
)
def test_an_unknown_field_has_its_own_name_and_no_scale(field, family):
    metric = SMARTSIGHT.metric(field)
    assert facts(metric) == (field, family, 1)
    assert "window" in metric.family.help


@pytest.mark.parametrize("field", ["total_views", "unique_devices", "authenticated_viewers", "peak_viewers"])
def test_ibm_metrics_have_their_own_name(field):
    assert facts(IBM.metric(field)) == (field, f"ibm_video_{field}", 1)


def test_an_unknown_statistic_is_known_by_its_name():
    assert SMARTSIGHT.is_statistic("p99_mystat")
    assert not SMARTSIGHT.is_statistic("avg_playtime_by_audience")
    assert not SMARTSIGHT.is_statistic("average_x")


@pytest.mark.parametrize("field", MAY_BE_SUMMED)
def test_help_says_that_counts_may_be_summed(field):
    assert "may be summed" in SMARTSIGHT.metric(field).family.help


@pytest.mark.parametrize("field", MUST_NOT_BE_SUMMED)
def test_help_says_that_ratios_statistics_and_distinct_counts_must_not(field):
    assert "must not be summed" in SMARTSIGHT.metric(field).family.help


@pytest.mark.parametrize(("field", "words"), [("total_views", "may be"), ("unique_devices", "must not be")])
def test_help_of_ibm_says_so_too(field, words):
    assert f"{words} summed" in IBM.metric(field).family.help


def test_help_of_peaks_and_logins_says_that_they_must_not_be_summed():
    assert all("must not" in IBM.metric(field).family.help for field in ("peak_viewers", "authenticated_viewers"))


@pytest.mark.parametrize("catalog", [SMARTSIGHT, IBM], ids=["smartsight", "ibm_video"])
def test_every_entry_has_one_line_of_help_with_the_window_and_a_family_name_that_prometheus_admits(catalog):
    for field in catalog.known:
        family = catalog.metric(field).family
        assert "window" in family.help
        assert "summed" in family.help
        assert "\n" not in family.help
        assert family.name == sanitise(family.name)
        assert not family.name.endswith(("_total", "_count", "_sum", "_bucket", "_info", "_created"))


def test_what_a_query_gives_overrides_the_catalogue():
    found = SMARTSIGHT.metric("latency", name="a_name", text="A text.", scale=0)
    assert (found.family.name, found.family.help, found.scale) == ("a_name", "A text.", 0)
    assert SMARTSIGHT.metric("latency", name="a_name").scale == 1
    assert SMARTSIGHT.metric("adfillrate", scale=5).family.name == "smartsight_ad_fill_ratio"


def test_ads_are_marked():
    marked = {field for field, known in SMARTSIGHT.known.items() if known.ad and not known.statistic}
    assert marked == {"adfillrate", "adimpression", "totaladimpression"}


def test_personal_dimensions_are_those_of_the_contract():
    assert SMARTSIGHT.personal == {"subscriberid", "deviceid", "sessionid", "ipaddress"}
    assert IBM.personal == {"viewer_identifier", "client_id", "view_session_id"}


@pytest.mark.parametrize(
    ("name", "clean"), [("a", "a"), ("a-b.c", "a_b_c"), ("1a", "_1a"), ("ä", "_"), ("a:b", "a_b"), ("__a", "__a")]
)
def test_names_are_made_ones_that_prometheus_admits(name, clean):
    assert sanitise(name) == clean


@given(st.text(min_size=1))
def test_any_text_makes_a_name(text):
    assert sanitise(text).isidentifier()
    assert sanitise(sanitise(text)) == sanitise(text)


@given(st.text(min_size=1))
def test_any_field_makes_a_metric(field):
    metric = SMARTSIGHT.metric(field)
    assert isinstance(metric, Metric)
    assert metric.family.name.isidentifier()
    assert "\n" not in metric.family.help


def test_the_catalogue_is_read_once():
    assert load("smartsight") is SMARTSIGHT
