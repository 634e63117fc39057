"""The snapshots on disk, with real processes that are killed."""

import json
import signal

import httpx
import pytest
from starlette.responses import JSONResponse

PREFIX = "video_analytics_exporter_"
QUERIES = [
    {"name": "plays", "source": "mm", "metrics": ["viewercount", "latency"], "dimensions": ["cdn", "country"]},
    {"name": "audience", "source": "ibm", "metrics": ["total_views"], "dimensions": ["device"]},
]
POLLS = f'{PREFIX}query_polls_total{{query="plays",source="mm"}}'


@pytest.fixture
def stored(start, tmp_path):
    """Start ``run`` with a configuration and a directory for its snapshots."""

    def stored(config):
        path = tmp_path / "config.yaml"
        path.write_text(json.dumps(config))
        return start("run", f"--config.file={path}", f"--storage.path={tmp_path / 'snapshots'}")

    return stored


def kill(exporter):
    exporter.process.send_signal(signal.SIGKILL)
    exporter.process.wait(30)


def ready(exporter):
    return httpx.get(f"{exporter.url}/-/ready", trust_env=False).status_code == 200


def data(exporter):
    """The lines of the vendors' data, in their order."""
    return [line for line in exporter.metrics().splitlines() if PREFIX not in line and "ython_" not in line]


def vendors_lines(exporter):
    return [line for line in data(exporter) if line.startswith(("smartsight_", "ibm_video_"))]


def test_after_kill_9_the_same_bytes_are_served_at_once_with_their_true_times(vendors, stored, until, tmp_path):
    defaults = {"interval": "1h", "max_age": "2h"}
    with type(vendors)(vendors.smartsight, vendors.ibm).running() as going:
        config = {"defaults": defaults, "sources": going.sources(), "queries": QUERIES}
        exporter = stored(config)
        until(lambda: ready(exporter), "all has been polled")
        until(lambda: len(list((tmp_path / "snapshots").glob("*.snapshot"))) == 2, "all is on the disk")
        before, lines = exporter.series(), vendors_lines(exporter)
        kill(exporter)
    assert len(lines) > 20
    again = stored(config)  # the vendors are down
    assert vendors_lines(again) == lines
    assert ready(again)
    after = again.series()
    for query in ('{query="plays",source="mm"}', '{query="audience",source="ibm"}'):
        for name in ("success", "series", "window_end_timestamp_seconds"):
            assert after[f"{PREFIX}query_{name}{query}"] == before[f"{PREFIX}query_{name}{query}"]
        name = f"{PREFIX}query_last_success_timestamp_seconds{query}"
        assert float(after[name]) == pytest.approx(float(before[name]), abs=0.5)
        assert after[f"{PREFIX}query_polls_total{query}"] == "0.0", "it is not due"
    assert not again.lines("level=error")
    assert not again.lines("level=warning")


def test_a_failure_before_the_kill_is_still_one_after_it_and_the_answer_before_it_still_served(
    vendors, stored, until, tmp_path
):
    answers = [200]

    async def answer(_):
        return JSONResponse({"totalrecords": 1, "response": [{"viewercount": 7}]}, answers[-1])

    vendors.smartsight.intercept = answer
    query = {"name": "plays", "source": "mm", "metrics": ["viewercount"]}
    config = {"defaults": {"interval": "1s", "max_age": "1h"}, "sources": vendors.sources(), "queries": [query]}
    exporter = stored(config)
    success, last = (f'{PREFIX}query_{name}{{query="plays",source="mm"}}' for name in ("success", "last_success"))
    last = last.replace("last_success", "last_success_timestamp_seconds")
    until(lambda: exporter.series().get(success) == "1.0", "it works")
    answers.append(500)
    until(lambda: exporter.series().get(success) == "0.0", "it fails")
    files = (tmp_path / "snapshots").glob
    until(lambda: any(b"server_error" in path.read_bytes() for path in files("*.snapshot")), "it is on the disk")
    before = exporter.series()
    kill(exporter)
    again = stored(config)
    after = again.series()
    assert after['smartsight_plays{source="mm",query="plays"}'] == "7"
    assert after[success] == "0.0"
    assert float(after[last]) == pytest.approx(float(before[last]), abs=0.5)
    answers.append(200)
    until(lambda: again.series()[success] == "1.0", "it works again")


def test_a_process_that_is_killed_at_any_moment_leaves_files_that_can_be_read(vendors, stored, until):
    config = {"defaults": {"interval": "1s", "max_age": "1h"}, "sources": vendors.sources(), "queries": QUERIES}
    for number in range(4):
        exporter = stored(config)
        if number:
            assert vendors_lines(exporter), "what an earlier process stored is served at once"
        assert not exporter.lines("set aside")
        # From the second poll to the fourth it is 2 s, in which the contract has the second one written.
        until(lambda served=exporter: float(served.series()[POLLS]) >= 4, "it has polled, and written or is writing")
        kill(exporter)


def test_damaged_and_foreign_files_are_told_once_and_stop_nothing(vendors, stored, until, tmp_path):
    config = {"defaults": {"interval": "1h", "max_age": "2h"}, "sources": vendors.sources(), "queries": QUERIES}
    exporter = stored(config)
    storage = tmp_path / "snapshots"
    until(lambda: len(list(storage.glob("*.snapshot"))) == 2, "all is on the disk")
    kill(exporter)
    victim = min(storage.glob("*.snapshot"))
    victim.write_bytes(victim.read_bytes()[:-1])
    (storage / "foreign.snapshot").write_text("<html>")
    (storage / "directory.snapshot").mkdir()
    asked = len(vendors.smartsight.answers) + len(vendors.ibm.answers)
    again = stored(config)
    until(lambda: ready(again), "what was damaged is polled anew")
    assert len(again.lines("set aside")) == 3
    assert len(vendors_lines(again)) > 20
    until(lambda: len(list(storage.glob("*.snapshot"))) == 2, "all is on the disk again")
    assert len(list(storage.glob("*.damaged"))) == 3
    assert 1 <= len(vendors.smartsight.answers) + len(vendors.ibm.answers) - asked <= 3
    assert not again.lines("Traceback")


def test_no_secret_is_on_the_disk(vendors, stored, until, tmp_path):
    config = {"defaults": {"interval": "1h"}, "sources": vendors.sources(), "queries": QUERIES}
    stored(config)
    storage = tmp_path / "snapshots"
    files = until(lambda: len(found := list(storage.glob("*.snapshot"))) == 2 and found, "all is on the disk")
    assert not any(secret in path.read_bytes() for path in files for secret in (b"a-key", b"a-secret"))
