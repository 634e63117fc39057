"""Rules for other configurations than the example."""

import json
import shutil
import subprocess

import click.testing
import pytest
import yaml

from exporter import rules
from exporter.cli import main
from exporter.config import load

SMARTSIGHT = {"type": "smartsight", "customer_id": 1, "auth": {"api_key": "a"}}
IBM = {"type": "ibm_video", "auth": {"client_id": "a", "client_secret": "b"}}


def query(name, metrics, source="mm", **more):
    return {"name": name, "source": source, "metrics": metrics, **more}


def text(*queries, **sources):
    return json.dumps({"sources": sources or {"mm": SMARTSIGHT}, "queries": queries})


def made(*queries, **sources):
    config = load(text(*queries, **sources), name="c", env={})
    found = [*rules.recording(config), *rules.alerting(config)]
    return {rule.name: rule for group in found for rule in group.rules}


FAILURES = ["attempts", "failurerate"]
ADS = ["adimpression", "adfillrate"]
CONFIGURATIONS = {
    "one query": text(query("q", FAILURES)),
    "the readme's": text(query("by_cdn", ["viewercount", "latency", "bufferingratio"], dimensions=["cdn"])),
    "watch time": text(query("q", ["viewercount", "bufferingratio", "playdur"], dimensions=["cdn"])),
    "nothing to compare": text(query("q", ["cbrsize"])),
    "ibm only": text(query("views", ["total_views"], "ibm", dimensions=["country"]), ibm=IBM),
    "two sources and own labels": text(
        query("q", [*FAILURES, "viewercount"], ["a", "b"], dimensions=["cdn", "country"]),
        a=SMARTSIGHT,
        b={**SMARTSIGHT, "labels": {"environment": "prod"}},
    ),
    "ads": text(
        query("total", ADS, "a"),
        query("split", ADS, ["b", "c"], dimensions=["country", "ad-server"]),
        a=SMARTSIGHT,
        b=SMARTSIGHT,
        c={**SMARTSIGHT, "labels": {"environment": "prod"}},
    ),
    "odd names": text(query('a "q" \\ é', FAILURES), query("a|b.c", ["views"], interval="1d", window="1d")),
    "own families": text(
        query("q", [{"field": "failurerate", "name": "my_failures"}, {"field": "attempts", "name": "my:attempts"}])
    ),
}


@pytest.mark.real("promtool")
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_promtool_takes_them(name, tmp_path):
    config, out = tmp_path / "config.yaml", tmp_path / "out.yml"
    config.write_text(CONFIGURATIONS[name], "utf-8")
    result = click.testing.CliRunner().invoke(main, ["rules", f"--config.file={config}", f"--output={out}"])
    assert (result.exit_code, result.output) == (0, "")
    found = subprocess.run(
        [shutil.which("promtool"), "check", "rules", "--lint=all", "--lint-fatal", out],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.returncode, found.stderr) == (0, "")


def test_the_broadest_query_is_read():
    found = made(
        query("filtered", FAILURES, filters={"country": "US"}),
        query("top", FAILURES, dimensions=["cdn"], top=3),
        query("by_both", FAILURES, dimensions=["cdn", "country"]),
        query("by_cdn", FAILURES, dimensions=["cdn"]),
        query("bad_only", FAILURES, having="failurerate>3"),
        query("long", FAILURES, window="1d"),
    )
    assert found["source:smartsight_startup_failure_ratio:weight"].labels == (("source", "mm"), ("query", "by_cdn"))
    assert found["source_country:smartsight_startup_failure_ratio:weight"].labels[1] == ("query", "by_both")


@pytest.mark.parametrize(("more", "weight"), [([], "smartsight_plays"), (["playdur"], "smartsight_playtime_seconds")])
def test_buffering_is_weighed_by_watch_time_where_the_query_has_it(more, weight):
    found = made(query("q", ["viewercount", "bufferingratio", *more], dimensions=["cdn"]))
    for level in ("source", "source_cdn"):
        assert weight in found[f"{level}:smartsight_buffering_ratio:weight"].expr
        assert weight in found[f"{level}:smartsight_buffering_ratio:weighted_sum"].expr
        assert "smartsight_plays" in found[f"{level}:smartsight_buffering_ratio:volume"].expr
    assert "buffering_ratio:volume >= 100" in found["BufferingHigh"].expr


def test_watch_time_alone_counts_nobody():
    assert "BufferingHigh" not in made(query("q", ["bufferingratio", "playdur"]))


def test_what_no_query_tells_has_no_rule():
    found = made(query("no_volume", ["failurerate"]), query("no_ratio", ["attempts"]))
    assert "StartupFailuresHigh" not in found
    assert "source:audience:sum" in found  # attempts are an audience, too
    assert {"CDNOutlier", "VendorAlertsPresent", "AdFillLow"}.isdisjoint(found)
    assert "ExporterAbsent" in found


def test_a_field_in_another_unit_has_no_rule():
    found = made(query("q", ["attempts", {"field": "failurerate", "scale": 1}]))
    assert "StartupFailuresHigh" not in found


def test_a_family_of_another_name_is_read_and_recorded_under_its_own():
    found = made(query("q", [{"field": "failurerate", "name": "my_failures"}, "attempts"]))
    assert 'my_failures{source="mm", query="q"}' in found["source:smartsight_startup_failure_ratio:weighted_sum"].expr


def test_groups_without_ads_are_told_by_the_labels_of_their_query():
    config = load(CONFIGURATIONS["ads"], name="c", env={})
    total, split = (rule for group in rules.alerting(config) for rule in group.rules if rule.name == "AdFillGone")
    assert (total.extra, split.extra) == ((), (("by", "country,ad_server"),))
    assert "(country {{ $labels.country }} and ad_server {{ $labels.ad_server }})" in split.summary
    assert "$labels.country" not in total.summary + total.description
    terms = split.expr.split("\nor\n")
    assert [term.partition(") (")[0] + ")" for term in terms] == [
        "max by (source, query, country, ad_server)",
        "max by (source, query, environment, country, ad_server)",
    ]


def test_the_source_s_own_labels_stay():
    source = {**SMARTSIGHT, "labels": {"environment": "prod"}}
    found = made(query("q", FAILURES, dimensions=["cdn"]), mm=source)
    expr = found["source_cdn:smartsight_startup_failure_ratio:weight"].expr
    assert expr.startswith("sum by (source, query, environment, cdn)")


def test_calendar_buckets_are_no_audience():
    found = made(query("q", ["total_views"], "ibm", options={"bucket": "hour"}, window="1h"), ibm=IBM)
    assert "AudienceCollapse" not in found


def test_data_may_be_as_old_as_its_query_admits():
    found = made(
        query("fast", ["views"]), query("slow.ly", ["views"], interval="1h"), query("too", ["views"], interval="1h")
    )
    assert found["DataTooOld"].expr.splitlines() == [
        'time() - video_analytics_exporter_query_window_end_timestamp_seconds{query="fast"} > 360',
        "or",
        'time() - video_analytics_exporter_query_window_end_timestamp_seconds{query=~"slow\\\\.ly|too"} > 14520',
    ]


@pytest.fixture
def run(tmp_path):
    """Run the command with a configuration in a directory of its own."""

    def run(*arguments, config=CONFIGURATIONS["one query"]):
        (tmp_path / "config.yaml").write_text(config)
        return click.testing.CliRunner().invoke(
            main, ["rules", f"--config.file={tmp_path / 'config.yaml'}", *arguments]
        )

    return run


def test_a_directory_gets_two_files(run, tmp_path):
    assert run(f"--output={tmp_path / 'new' / 'rules'}").exit_code == 0
    names = {file.name for file in (tmp_path / "new/rules").iterdir()}
    assert names == {"recording.rules.yml", "alerts.rules.yml"}


def test_without_an_output_they_are_printed(run):
    printed = run("--runbooks=https://wiki.example/runbooks/").output
    rule = next(rule for group in yaml.safe_load(printed)["groups"] for rule in group["rules"] if "alert" in rule)
    assert rule["annotations"]["runbook_url"] == f"https://wiki.example/runbooks/{rule['alert']}.md"


def test_errors_are_told_in_a_line(run, tmp_path):
    result = run(f"--output={tmp_path / 'none' / 'rules.yml'}")
    assert (result.exit_code, result.output) == (1, f"{tmp_path / 'none' / 'rules.yml'}: No such file or directory\n")
    assert run(config="{}").exit_code == 1
