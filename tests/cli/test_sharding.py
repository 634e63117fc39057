import json

import click.testing
import pytest

from exporter.cli import main

CONFIG = """\
sources: {mm: {type: smartsight, customer_id: 7, auth: {api_key: k}, limits: {concurrency: 9, requests_per_minute: 90}}}
queries:
"""
QUERIES = "".join(f"  - {{name: q{n}, source: mm, metrics: [latency], dimensions: [d{n}]}}\n" for n in range(9))


@pytest.fixture
def invoke(tmp_path, monkeypatch):
    monkeypatch.setattr("socket.gethostname", lambda: "exporter-1.shards")
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG + QUERIES)

    def invoke(command, *arguments):
        file = [] if command == "demo" else [f"--config.file={path}"]
        return click.testing.CliRunner().invoke(main, [command, *file, *arguments])

    return invoke


@pytest.fixture
def started(monkeypatch):
    """What `run` and `demo` would be started with."""
    found = []
    monkeypatch.setattr("exporter.cli.serving.start", lambda _, **flags: found.append(flags))
    return found


def plan(invoke, *arguments):
    return json.loads(invoke("plan", "--output=json", *arguments).stdout)


def test_a_plan_is_of_one_shard_and_of_its_part_of_the_limits(invoke):
    shards = [plan(invoke, f"--shard={ordinal}", "--total-shards=3") for ordinal in range(3)]
    whole = plan(invoke)
    names = [query["query"] for shard in shards for query in shard["queries"]]
    assert sorted(names) == sorted(query["query"] for query in whole["queries"])
    assert sum(source["limit_per_minute"] for shard in shards for source in shard["sources"]) == 90
    assert plan(invoke, "--shard=auto", "--total-shards=3")["queries"] == shards[1]["queries"]


def test_a_shard_that_has_nothing_to_do_has_an_empty_plan(invoke):
    flags = ([f"--shard={ordinal}", "--total-shards=20"] for ordinal in range(20))
    idle = next(each for each in flags if not plan(invoke, *each)["queries"])
    assert not any(plan(invoke, *idle).values())
    assert invoke("plan", *idle).exit_code == 0


@pytest.mark.parametrize("command", ["run", "demo", "plan"])
@pytest.mark.parametrize(
    "flags",
    [
        ["--shard=0"],
        ["--shard=auto"],
        ["--total-shards=2"],
        ["--shard=2", "--total-shards=2"],
        ["--shard=-1", "--total-shards=2"],
        ["--shard=x", "--total-shards=2"],
        ["--shard=", "--total-shards=2"],
        ["--shard=0", "--total-shards=0"],
        ["--shard=auto", "--total-shards=1"],
    ],
    ids=" ".join,
)
def test_a_shard_that_can_t_be_is_wrong_usage(invoke, started, command, flags):
    result = invoke(command, *flags)
    assert (result.exit_code, result.stdout, started) == (2, "", [])
    assert "shard" in result.stderr


@pytest.mark.parametrize("command", ["run", "demo", "plan"])
def test_a_host_without_an_ordinal_is_one_line(invoke, started, monkeypatch, command):
    monkeypatch.setattr("socket.gethostname", lambda: "laptop")
    result = invoke(command, "--shard=auto", "--total-shards=2")
    assert (result.exit_code, result.stdout, started) == (1, "", [])
    assert result.stderr.count("\n") == 1
    assert "`laptop`" in result.stderr


@pytest.mark.parametrize("command", ["run", "demo"])
def test_what_a_daemon_is_started_with(invoke, started, command):
    assert invoke(command, "--shard=auto", "--total-shards=2", "--shard.peers=a:1, b").exit_code == 0
    assert invoke(command, "--shard.peers=shards").exit_code == 0
    assert invoke(command).exit_code == 0
    shards = [(flags["shard"].ordinal, flags["shard"].total, flags["peers"]) for flags in started]
    assert shards == [(1, 2, ("a:1", "b")), (0, 1, ("shards",)), (0, 1, ())]


@pytest.mark.parametrize("peers", ["a,b,c", "http://a", "a b", ",", "a,", "ftp://a", "::1"])
def test_peers_that_can_t_be_are_wrong_usage(invoke, started, peers):
    result = invoke("run", "--shard=0", "--total-shards=2", f"--shard.peers={peers}")
    assert (result.exit_code, started) == (2, [])
    assert "--shard.peers" in result.stderr
