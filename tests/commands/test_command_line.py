"""The commands as a user calls them: exit codes, streams, signals, completion."""

import asyncio
import json
import os
import signal
import sys
import time

import pytest
from click.testing import CliRunner

from exporter.cli import main
from exporter.config.jsonschema import schema
from exporter.simulator.serve import serve
from exporter.simulator.smartsight import SmartSight

PATIENCE = 30
CONFIG = """\
sources:
  mm: {type: smartsight, base_url: "${URL}", customer_id: 7, auth: {api_key: "${KEY:-a-key}"}}
queries:
  - {name: by_cdn, source: mm, metrics: [viewercount], dimensions: [cdn]}
  - {name: by_country, source: mm, metrics: [viewercount], dimensions: [country], interval: 1s}
"""


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
async def env():
    """The environment of a command, with a simulated vendor on loopback."""
    vendor = SmartSight(api_key="a-key", customer_id=7, clock=time.time)
    async with serve(vendor.app) as url:
        yield {**os.environ, "URL": url, "NO_PROXY": "*"}


@pytest.fixture
def start(env, path):
    async def start(*arguments, **more):
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "exporter", *arguments, f"--config.file={path}"),
            env={**env, **more},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    return start


@pytest.fixture
def command(start):
    """Run a command to its end: exit code, standard output, lines of standard error."""

    async def command(*arguments, **more):
        process = await start(*arguments, **more)
        async with asyncio.timeout(PATIENCE):
            out, err = await process.communicate()
        return process.returncode, out.decode(), err.decode().splitlines()

    return command


async def test_query_prints_a_table(command):
    code, out, err = await command("query", "by_cdn")
    assert (code, err) == (0, [])
    assert out.splitlines()[1].split() == ["cdn", "plays"]


async def test_query_prints_json_and_nothing_else(command):
    code, out, err = await command("query", "by_cdn", "--output", "json", "--source", "mm")
    assert (code, err) == (0, [])
    assert json.loads(out)[0]["rows"]


async def test_query_prints_openmetrics(command):
    code, out, err = await command("query", "by_cdn", "--output=openmetrics")
    assert (code, err) == (0, [])
    assert out.endswith("\n# EOF\n")
    assert 'smartsight_plays{source="mm",query="by_cdn",cdn="' in out


async def test_a_poll_that_fails_is_one_line_and_exit_1(command):
    code, out, (line,) = await command("query", "by_cdn", KEY="CANARY")
    assert (code, out) == (1, "")
    assert line.startswith("mm: `by_cdn` failed (auth): metricquery: HTTP 401")
    assert "CANARY" not in line


async def test_an_unknown_query_is_one_line_and_exit_1(command):
    code, out, err = await command("query", "by_cnd")
    assert (code, out) == (1, "")
    assert err == ["there is no query `by_cnd` (did you mean `by_cdn`?); there are: by_cdn, by_country"]


async def test_watch_goes_on_until_ctrl_c(start):
    process = await start("query", "by_country", "--watch")
    titles = 0
    try:
        async with asyncio.timeout(PATIENCE):
            while titles < 2:
                titles += (await process.stdout.readline()).startswith(b"by_country of mm")
            process.send_signal(signal.SIGINT)
            _, err = await process.communicate()
    except TimeoutError:
        process.kill()
        pytest.fail(f"{titles} tables came; it said: {await process.communicate()}")
    assert (process.returncode, err) == (0, b"")


@pytest.fixture
def invoke(path):
    return lambda *arguments: CliRunner().invoke(
        main, [*arguments, f"--config.file={path}"], env={"URL": "http://127.0.0.1:1"}
    )


def test_plan_sends_nothing_and_prints_tables_or_json(invoke):
    shown = invoke("plan")
    assert (shown.exit_code, shown.stderr) == (0, "")
    assert "/mm-apis/metricquery/7?period=start=" in shown.stdout
    assert len(json.loads(invoke("plan", "--output", "json").stdout)["requests"]) == 2


def test_plan_of_a_wrong_file_says_what_check_says(invoke, path):
    path.write_text(CONFIG.replace("metrics", "metric"))
    planned, checked = invoke("plan"), invoke("check")
    assert (planned.exit_code, planned.stdout, planned.stderr) == (1, "", checked.stderr)
    assert planned.stderr.count("did you mean `metrics`?") == 2


def test_schema_prints_the_schema():
    shown = CliRunner().invoke(main, ["schema"])
    assert json.loads(shown.stdout) == schema()


COMPLETE = "_VIDEO_ANALYTICS_EXPORTER_COMPLETE"
"""What click reads for the command's installed name."""


def completed(words, shell="bash_complete", **env):
    env = {COMPLETE: shell, "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1), **env}
    return CliRunner().invoke(main, env=env, prog_name="video-analytics-exporter").stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_of_each_shell(monkeypatch, shell):
    # bash is asked for its version.
    monkeypatch.setattr("click.shell_completion.BashComplete._check_version", staticmethod(lambda: None))
    assert f"{COMPLETE}={shell}_complete" in completed("", f"{shell}_source")


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("video-analytics-exporter pl", ["plan"]),
        ("video-analytics-exporter query --config.file PATH by_c", ["by_cdn", "by_country"]),
        ("video-analytics-exporter query --config.file PATH by_cd", ["by_cdn"]),
        ("video-analytics-exporter query --config.file PATH.not by", []),
        ("video-analytics-exporter query --output o", ["openmetrics"]),
    ],
)
def test_names_are_completed_from_the_configuration(path, words, found):
    shown = completed(words.replace("PATH", str(path)))
    assert [line.partition(",")[2] for line in shown.split()] == found
