import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from exporter.cli import main
from exporter.commands import backfill_tables
from exporter.commands.backfill import BackfillError, Options, find, moment

NOW = 1_775_937_630.5  # 2026-04-11 20:00:30.5 UTC
SETTLED = NOW + 300
HOUR = 3600
PLAYS = "name: plays, source: mm, metrics: [viewercount]"
BY_CDN = "name: by_cdn, source: mm, metrics: [viewercount, latency], dimensions: [cdn], top: 7"
MONTHLY = "name: monthly, source: ibm, metrics: [total_views], options: {bucket: month}"
OPTIONS = Options((), "1d", "now", HOUR, Path("out.om"), None, None)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-04-11T20:00:30Z", 1_775_937_630),
        ("2026-04-11T22:00:30+02:00", 1_775_937_630),
        ("2026-04-11T20:00:30", 1_775_937_630),
        ("2026-04-11 20:00", 1_775_937_600),
        ("2026-04-11", 1_775_865_600),
        ("1775937600", 1_775_937_600),
        ("1775937600.25", 1_775_937_600.25),
        ("30d", NOW - 30 * 86_400),
        ("1h30m", NOW - 5400),
        ("now", NOW),
    ],
)
def test_a_moment_is_a_time_or_how_long_ago(written, meant):
    assert moment(written, NOW) == meant


@pytest.mark.parametrize("written", ["yesterday", "2026-13-01", "-5", "", "30 d", "1d30", "12:00"])
def test_what_is_no_moment_says_how_one_is_written(written):
    with pytest.raises(ValueError, match="is no point in time; write 2026-01-31T12:00:00Z"):
        moment(written, NOW)


@pytest.mark.parametrize("written", ["1969-12-31T23:59:59Z", "0001-01-01T00:00+23:00", "9999-12-31T23:59-01:00", "99y"])
def test_a_moment_is_one_that_a_date_can_be_written_of(written):
    with pytest.raises(ValueError, match="is no point in time between 1970 and 9999"):
        moment(written, NOW)


@given(st.text(max_size=20))
def test_no_text_breaks_the_reading(written):
    found: object
    try:
        found = moment(written, NOW)
    except ValueError as error:
        found = str(error)
    assert isinstance(found, float | int) or "is no point in time" in found


def test_by_default_all_that_have_a_past_are_asked_for(configured):
    found = find(configured(PLAYS, BY_CDN, MONTHLY), OPTIONS, SETTLED)
    assert [each.name for each in found.wanted] == ["mm/plays", "mm/by_cdn"]
    assert {each.buckets for each in found.wanted} == {24}
    assert [line.partition(":")[0] for line in found.without] == ["ibm"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"names": ("play",)}, "there is no query `play` (did you mean `plays`?); there are: plays, monthly"),
        ({"names": ("monthly",)}, "ibm: `monthly` has no history: `options: {bucket: month}` has no buckets of 1h"),
        ({"step": 900, "names": ("plays",)}, "has no buckets of 15m; it has 1m, 5m, 10m, 1h, 1d"),
        ({"since": "10m"}, "no whole bucket between 2026-04-11 19:50:30 UTC and 2026-04-11 20:00:30 UTC has settled"),
        ({"since": "2026-04-01", "until": "2026-04-01"}, "no whole bucket between"),
        (
            {"since": "2h", "until": "3h"},
            "--from is after --to: 2026-04-11 18:00:30 UTC and 2026-04-11 17:00:30 UTC",
        ),
    ],
)
def test_what_can_not_be_had_is_told_before_anything_is_asked(configured, changed, said):
    with pytest.raises(BackfillError) as refused:
        find(configured(PLAYS, MONTHLY), replace(OPTIONS, **changed), NOW)
    assert said in "\n".join(refused.value.lines)


@pytest.mark.parametrize(
    ("changed", "state"),
    [
        ({}, "out.om.backfill"),
        ({"output": Path("/a/b/out.om")}, "/a/b/out.om.backfill"),
        ({"storage": Path("/var/lib/x")}, r"/var/lib/x/[0-9a-f]{16}\.backfill"),
        ({"output": None, "receiver": "http://p/api/v1/write"}, r"[0-9a-f]{16}\.backfill"),
    ],
)
def test_the_state_lies_beside_the_output_or_where_it_is_told_to(changed, state):
    assert Path(str(replace(OPTIONS, **changed).state)).match("*.backfill")
    assert re.fullmatch(state, str(replace(OPTIONS, **changed).state))


def test_a_dry_run_shows_requests_and_samples(configured):
    config = configured(PLAYS, BY_CDN, MONTHLY)
    found = find(config, replace(OPTIONS, since="90d"), SETTLED)
    out = io.StringIO()
    backfill_tables.show(config, found.wanted, found.without, Console(file=out, force_terminal=False))
    shown = out.getvalue()
    lines = [line.split() for line in shown.splitlines()]
    rows = {cells[1]: cells[2:6] for cells in lines if cells[:1] == ["mm"] and len(cells) > 5}
    assert rows == {"plays": ["2160", "14", "2160", "2160"], "by_cdn": ["2160", "23", "4320", "30240"]}
    assert "/mm-apis/metricquery/7?period=start=" in shown
    assert "aggby=cdn,timestamp" in shown
    # 37 requests, two of them in any minute.
    assert ["mm", "37", "2", "17m", "30s"] in lines
    assert "`monthly` has no history" in shown
    assert "CANARY" not in shown


@pytest.fixture
def command(tmp_path):
    """Run the command in the same process: exit code and lines of standard error."""
    path = tmp_path / "config.yaml"
    path.write_text(
        f"sources:\n  mm: {{type: smartsight, customer_id: 7, auth: {{api_key: k}}}}\nqueries:\n  - {{{PLAYS}}}\n"
    )

    def command(*arguments):
        result = CliRunner().invoke(main, ["backfill", f"--config.file={path}", *arguments])
        return result.exit_code, result.stderr.splitlines()

    return command


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--output=o"], 2, "Missing option '--from'"),
        (["--from=30d"], 2, "needs one of --output and --remote-write"),
        (["--from=30d", "--output=o", "--remote-write=http://p/w"], 2, "needs one of --output and --remote-write"),
        (["--from=soon", "--output=o"], 2, "`soon` is no point in time"),
        (["--from=30d", "--step=often", "--output=o"], 2, "is no duration"),
        (["--from=30d", "--step=0", "--output=o"], 2, "must be longer than 0s"),
        (["--from=9999-12-31T23:59:59-23:00", "--dry-run"], 2, "is no point in time between 1970 and 9999, UTC"),
        (["--from=9999-12-31", "--dry-run"], 1, "--from is after --to: 9999-12-31 00:00:00 UTC and 20"),
        (["--from=30d", "--remote-write=prometheus:9090"], 2, "must be a URL"),
        (["--from=30d", "--output=o", "--query=other"], 1, "there is no query `other`"),
        (["--from=30d", "--step=7m", "--output=o"], 1, "SmartSight has no buckets of 7m"),
        (["--from=30d", "--output=/proc/none/o"], 1, "/proc/none/o.backfill: the state can't be kept"),
        (["--from=30d", "--remote-write=http://u:p@x/w"], 1, "must be a URL without a name or a password"),
    ],
)
def test_what_is_wrong_is_one_line_and_a_code(command, arguments, code, said):
    found, lines = command(*arguments)
    assert found == code
    assert said in lines[-1]
    if code == 1:
        assert len(lines) == 1
