import asyncio
import contextlib
import gc
import json
import re
import threading
import time
from dataclasses import dataclass, field

import httpx
import pytest
from starlette.responses import Response
from structlog.testing import capture_logs

from exporter import daemon, gather
from exporter.circuit import OPENS_AT
from exporter.config import ConfigError, load
from exporter.daemon import Options
from exporter.poll import Poller
from exporter.providers.http import Client
from exporter.shard import Shard
from exporter.simulator.ibm_video import IbmVideo
from exporter.simulator.serve import serve
from exporter.simulator.smartsight import SmartSight
from exporter.web.listen import bind
from exporter.web.systemd import Notifier

PATIENCE = 20
PREFIX = "video_analytics_exporter_"


async def eventually(condition, what="it comes about"):
    """Wait for a condition and give what it gives; it may be awaited."""
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                result = condition()
                if result := await result if asyncio.iscoroutine(result) else result:
                    return result
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(f"not within {PATIENCE} s: {what}")


class Gate:
    """Lets a vendor's answers through while it is open; counts the requests that have come to it, and passed it.

    The server does not tell it of clients that are gone.
    """

    def __init__(self):
        self.open = asyncio.Event()
        self.open.set()
        self.come = self.passed = 0

    async def __call__(self, _):
        self.come += 1
        await self.open.wait()
        self.passed += 1


@dataclass
class Bench:
    """Simulated vendors, a configuration that a test may change, and what a running exporter gives."""

    smartsight: SmartSight
    ibm: IbmVideo
    sources: dict
    queries: list
    defaults: dict = field(default_factory=lambda: {"interval": "1h", "max_age": "2h"})
    fault: str = ""
    house: daemon.House = None
    http: httpx.AsyncClient = None

    def load(self):
        if self.fault:
            raise ConfigError(self.fault.splitlines())
        data = {"defaults": self.defaults, "sources": self.sources, "queries": self.queries}
        return load(json.dumps(data), name="config.yaml", env={})

    @contextlib.asynccontextmanager
    async def running(self, **options):
        with bind("127.0.0.1:0") as bound:
            given = Options(**{"lifecycle": True} | options)
            async with (
                daemon.running(self.load, self.load(), [bound], given) as self.house,
                httpx.AsyncClient(base_url=daemon.address(bound), trust_env=False, timeout=PATIENCE) as self.http,
            ):
                yield self

    async def series(self):
        """The samples of /metrics, without Python's and the process's own."""
        text = (await self.http.get("/metrics")).text
        lines = [line for line in text.splitlines() if not line.startswith(("#", "python", "process"))]
        return dict(line.rsplit(" ", 1) for line in lines)

    async def data(self):
        return {line: value for line, value in (await self.series()).items() if not line.startswith(PREFIX)}

    async def of(self, query):
        """All series that name a query."""
        return {line for line in await self.series() if f'query="{query}"' in line}

    async def own(self, name, **labels):
        text = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
        value = (await self.series()).get(f"{PREFIX}{name}" + (f"{{{text}}}" if text else ""))
        return None if value is None else float(value)

    async def ready(self):
        return (await self.http.get("/-/ready")).status_code == 200

    async def reload(self):
        return await self.http.post("/-/reload")

    @property
    def polls(self):
        """How many polls are running."""
        return len(self.house._schedule._polls)

    def logins(self):
        return sum(answer.path == "/oauth2/token" for answer in self.ibm.answers)

    def asked(self, vendor):
        return sum(answer.path != "/oauth2/token" for answer in vendor.answers)


@pytest.fixture
async def bench():
    smartsight = SmartSight(api_key="a-key", customer_id=199493832, clock=time.time)
    ibm = IbmVideo(client_id="a-client", client_secret="a-secret", clock=time.time)
    async with serve(smartsight.app) as smartsight_url, serve(ibm.app) as ibm_url:
        auth = {"client_id": "a-client", "client_secret": "a-secret", "token_url": f"{ibm_url}/oauth2/token"}
        sources = {
            "mm": {
                "type": "smartsight",
                "base_url": smartsight_url,
                "customer_id": 199493832,
                "auth": {"api_key": "a-key"},
            },
            "ibm": {"type": "ibm_video", "base_url": f"{ibm_url}/v1", "auth": auth},
        }
        queries = [
            {"name": "plays", "source": "mm", "metrics": ["viewercount"], "dimensions": ["cdn"]},
            {"name": "latency", "source": "mm", "metrics": ["latency"], "dimensions": ["country"]},
            {"name": "audience", "source": "ibm", "metrics": ["total_views"], "dimensions": ["device"]},
        ]
        yield Bench(smartsight, ibm, sources, queries)


def parts(house):
    """What a reload may leave behind: counts of what is alive."""
    gc.collect()
    return {
        "tasks": len(asyncio.all_tasks()),
        "clients": sum(isinstance(each, Client) for each in gc.get_objects()),
        "http": sum(isinstance(each, httpx.AsyncClient) for each in gc.get_objects()),
        "jobs": len(house._schedule._scheduler.get_jobs()),
        "beside": len(house._tasks),
        "last": len(house._poller.last),
        "renderers": len(house._poller._memory),
        "circuits": len(house._poller._circuits),
    }


# --- Reload: what is good ---------------------------------------------------------------------------------------------


async def test_a_reload_without_changes_changes_nothing(bench):
    async with bench.running():
        await eventually(bench.ready)
        before, ticks, asked = await bench.data(), bench.house._schedule.next_polls(), len(bench.smartsight.answers)
        clients, last = dict(bench.house._clients), dict(bench.house._poller.last)
        versions = bench.house.store.snapshots()
        response = await bench.reload()
        assert (response.status_code, response.text) == (200, "")
        assert await bench.data() == before
        assert bench.house.store.snapshots() == versions
        assert bench.house._schedule.next_polls() == ticks
        assert bench.house._clients == clients
        assert dict(bench.house._poller.last) == last
        assert await bench.ready()
        assert len(bench.smartsight.answers) == asked
        assert bench.logins() == 1


async def test_an_unchanged_query_keeps_its_numbers_counters_and_tick_while_all_around_it_changes(bench):
    async with bench.running():
        await eventually(bench.ready)
        own = {line: value for line, value in (await bench.series()).items() if 'query="audience"' in line}
        ticks = bench.house._schedule.next_polls()
        bench.queries[0]["dimensions"] = ["country"]
        bench.queries[1:2] = [{"name": "errors", "source": "mm", "metrics": ["errors"]}]
        bench.sources["mm"]["limits"] = {"concurrency": 2}
        assert (await bench.reload()).status_code == 200
        series = await bench.series()
        assert {line: value for line, value in series.items() if 'query="audience"' in line} == own
        assert bench.house._schedule.next_polls()["ibm", "audience"] == ticks["ibm", "audience"]
        await eventually(bench.ready)
        assert bench.logins() == 1


async def test_the_token_is_kept_by_an_unchanged_source_and_used_by_a_new_query(bench):
    async with bench.running():
        await eventually(bench.ready)
        bench.queries.append({"name": "devices", "source": "ibm", "metrics": ["unique_devices"]})
        await bench.reload()
        await eventually(bench.ready)
        assert bench.logins() == 1
        assert await bench.of("devices")


async def test_a_removed_query_is_gone_at_the_next_scrape_with_all_that_is_its_own(bench):
    async with bench.running():
        await eventually(bench.ready)
        assert len(await bench.of("latency")) > 10
        del bench.queries[1]
        await bench.reload()
        assert await bench.of("latency") == set()
        assert await bench.of("plays")
        assert "latency" not in (await bench.http.get("/")).text
        assert [job.query.name for job in bench.house._plan.jobs] == ["plays", "audience"]


async def test_a_removed_source_is_gone_with_all_that_is_its_own(bench):
    async with bench.running():
        await eventually(bench.ready)
        assert any('source="ibm"' in line for line in await bench.series())
        del bench.sources["ibm"], bench.queries[2]
        await bench.reload()
        assert not [line for line in await bench.series() if 'source="ibm"' in line]


async def test_a_source_that_loses_its_last_query_before_it_goes_leaves_nothing_behind(bench):
    async with bench.running():
        await eventually(bench.ready)
        del bench.queries[2]
        await bench.reload()
        assert not [line for line in await bench.series() if 'source="ibm"' in line]
        del bench.sources["ibm"]
        await bench.reload()
        assert not [line for line in await bench.series() if 'source="ibm"' in line]


async def test_a_query_that_is_removed_while_its_poll_runs_never_comes_back(bench):
    gate = Gate()
    bench.smartsight.intercept = gate
    async with bench.running():
        await eventually(bench.ready)
        gate.open.clear()
        bench.queries[0] |= {"window": "10m"}  # changed, so that it is asked at once
        await bench.reload()
        await eventually(lambda: gate.come == 3)
        del bench.queries[0]
        await bench.reload()
        assert await bench.of("plays") == set()
        await eventually(lambda: bench.polls == 0)
        gate.open.set()
        bench.queries[0] |= {"window": "10m"}  # the next poll of the source comes after whatever the old one could do
        await bench.reload()
        await eventually(bench.ready)
        assert await bench.of("plays") == set()


async def test_a_query_that_is_removed_while_its_answer_is_decoded_never_comes_back(bench, monkeypatch):
    entered, release, apart = asyncio.Event(), asyncio.Event(), Poller._apart

    async def held(self, rows, work, *args, **kwargs):
        result = await apart(self, rows, work, *args, **kwargs)
        if "render" in getattr(work, "__name__", ""):
            entered.set()
            await release.wait()
        return result

    del bench.queries[1:]
    bench.queries.append({"name": "stays", "source": "ibm", "metrics": ["total_views"]})
    monkeypatch.setattr(Poller, "_apart", held)
    async with bench.running():
        await asyncio.wait_for(entered.wait(), PATIENCE)
        release.set()  # the poll may go on in the same step of the loop in which its query goes
        del bench.queries[0]
        assert await bench.house.reload() == ()
        await eventually(bench.ready)
        assert await bench.of("plays") == set()


async def test_a_removed_query_may_come_back_and_is_new_then(bench):
    async with bench.running():
        await eventually(bench.ready)
        gone = bench.queries.pop(0)
        await bench.reload()
        bench.queries.append(gone)
        await bench.reload()
        await eventually(bench.ready)
        assert await bench.own("query_polls_total", source="mm", query="plays") == 1
        assert any('query="plays"' in line for line in await bench.data())


async def test_a_changed_query_is_polled_at_once_and_shows_nothing_of_before(bench):
    gate = Gate()
    bench.smartsight.intercept = gate
    async with bench.running():
        await eventually(bench.ready)
        gate.open.clear()
        bench.queries[0]["dimensions"] = ["country"]
        assert (await bench.reload()).status_code == 200
        assert not [line for line in await bench.data() if 'query="plays"' in line]
        assert await bench.own("query_success", source="mm", query="plays") is None
        assert not await bench.ready()
        await eventually(lambda: gate.come == 3)
        gate.open.set()
        await eventually(bench.ready)
        lines = [line for line in await bench.data() if 'query="plays"' in line]
        assert lines
        assert all("country=" in line and "cdn=" not in line for line in lines)
        assert gate.passed == 3


async def test_a_new_query_makes_it_not_ready_until_its_first_poll_ends_be_it_badly(bench):
    gate = Gate()
    async with bench.running():
        await eventually(bench.ready)
        bench.smartsight.intercept = gate
        gate.open.clear()
        bench.smartsight.api_key = "another"
        bench.queries.append({"name": "errors", "source": "mm", "metrics": ["errors"]})
        await bench.reload()
        assert not await bench.ready()
        await eventually(lambda: gate.come)
        assert not await bench.ready()
        gate.open.set()
        await eventually(bench.ready)
        assert await bench.own("query_success", source="mm", query="errors") == 0


@pytest.mark.parametrize("change", [{"limits": {"concurrency": 2}}, {"auth": {"api_key_file": None}}])
async def test_a_source_that_changes_in_how_it_is_asked_keeps_its_queries_as_they_are(bench, change, tmp_path):
    if "auth" in change:
        (tmp_path / "key").write_text("a-key")
        change = {"auth": {"api_key_file": str(tmp_path / "key")}}
    async with bench.running():
        await eventually(bench.ready)
        before, ticks, asked = await bench.data(), bench.house._schedule.next_polls(), bench.asked(bench.smartsight)
        old = bench.house._clients["mm"]
        bench.sources["mm"] |= change
        await bench.reload()
        assert await bench.data() == before
        assert bench.house._schedule.next_polls() == ticks
        assert bench.house._clients["mm"] is not old
        assert bench.house._poller._sources["mm"] is bench.house._clients["mm"]
        assert await bench.ready()
        assert bench.asked(bench.smartsight) == asked
        await eventually(lambda: old._wire._transport is None)


async def test_another_account_under_the_same_name_shows_nothing_of_the_old_one(bench):
    async with bench.running():
        await eventually(bench.ready)
        assert any('source="mm"' in line for line in await bench.data())
        bench.sources["mm"]["customer_id"] = 1
        await bench.reload()
        assert not any('source="mm"' in line for line in await bench.data())
        await eventually(bench.ready)
        assert not any('source="mm"' in line for line in await bench.data())
        assert await bench.own("query_success", source="mm", query="plays") == 0


async def test_a_poll_goes_on_over_a_reload_that_changes_only_how_its_source_is_asked(bench):
    gate = Gate()
    gate.open.clear()
    bench.smartsight.intercept = gate
    async with bench.running():
        await eventually(lambda: gate.come == bench.polls == 2)
        bench.sources["mm"]["limits"] = {"concurrency": 3}
        assert (await bench.reload()).status_code == 200
        assert bench.polls == 2
        gate.open.set()
        await eventually(bench.ready)
        assert gate.passed == 2, "nothing is asked twice"
        assert await bench.own("query_success", source="mm", query="plays") == 1


async def test_a_circuit_stays_open_over_a_reload_and_closes_for_a_source_that_changed(bench):
    bench.defaults["interval"] = "1h"
    bench.smartsight.api_key = "another"
    async with bench.running():
        await eventually(bench.ready)
        job = bench.house._plan.group["mm", "plays"]
        for _ in range(OPENS_AT):
            await bench.house._poller.poll(job)
        assert bench.house._poller.circuit("mm").open
        bench.queries.append({"name": "errors", "source": "ibm", "metrics": ["unique_devices"]})
        await bench.reload()
        assert bench.house._poller.circuit("mm").open
        assert await bench.own("api_circuit_open", source="mm") == 1
        bench.sources["mm"]["limits"] = {"concurrency": 3}
        await bench.reload()
        assert not bench.house._poller.circuit("mm").open


async def test_the_metric_of_a_circuit_that_a_reload_closes_says_so(bench):
    bench.smartsight.api_key = "another"
    async with bench.running():
        await eventually(bench.ready)
        for _ in range(OPENS_AT):
            await bench.house._poller.poll(bench.house._plan.group["mm", "plays"])
        bench.sources["mm"]["limits"] = {"concurrency": 3}
        await bench.reload()
        assert not bench.house._poller.circuit("mm").open
        assert await bench.own("api_circuit_open", source="mm") == 0


# --- Reload: what is bad ----------------------------------------------------------------------------------------------


async def test_a_bad_file_changes_nothing_and_says_so(bench):
    async with bench.running():
        await eventually(bench.ready)
        before, ticks = await bench.series(), bench.house._schedule.next_polls()
        at = before[f"{PREFIX}config_last_reload_success_timestamp_seconds"]
        bench.queries[0] |= {"metrics": [], "interval": "soon"}
        bench.queries[1]["source"] = "nobody"
        with capture_logs() as logged:
            response = await bench.reload()
        assert response.status_code == 500
        lines = response.text.splitlines()
        assert len(lines) >= 3
        assert all(line.startswith("config.yaml:") for line in lines)
        told = [entry for entry in logged if entry["event"] == "the configuration is wrong, the old one stays"]
        assert [(entry["log_level"], entry["faults"], entry["first"]) for entry in told] == [
            ("error", len(lines), lines[0])
        ]
        after = await bench.series()
        assert after.pop(f"{PREFIX}config_last_reload_successful") == "0.0"
        assert before.pop(f"{PREFIX}config_last_reload_successful") == "1.0"
        assert after == before
        assert after[f"{PREFIX}config_last_reload_success_timestamp_seconds"] == at
        assert bench.house._schedule.next_polls() == ticks
        assert await bench.ready()


async def test_after_a_bad_file_a_good_one_is_taken(bench):
    async with bench.running():
        bench.fault = "config.yaml: No such file or directory"
        assert (await bench.reload()).text == f"{bench.fault}\n"
        bench.fault = ""
        assert (await bench.reload()).status_code == 200
        assert await bench.own("config_last_reload_successful") == 1


async def test_a_fault_of_the_exporter_s_own_while_it_reloads_is_no_end_of_reloading(bench):
    async with bench.running():
        good = bench.load

        def broken():
            raise RuntimeError("a bug in the loader")

        signalled = asyncio.Event()
        bench.house._load = broken
        watching = asyncio.create_task(daemon._reload_on(signalled, bench.house, Notifier({})))
        signalled.set()
        await eventually(lambda: not signalled.is_set())
        bench.house._load = good
        del bench.queries[0]
        signalled.set()
        try:
            await eventually(lambda: len(bench.house._plan.jobs) == 2 or watching.done())
            assert not watching.done()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


# --- Reload: when and how often ---------------------------------------------------------------------------------------


async def test_reloads_at_the_same_time_come_one_after_the_other_and_the_last_file_counts(bench):
    running, most, good = 0, 0, bench.load

    def counted():
        nonlocal running, most
        running += 1
        most = max(most, running)
        time.sleep(0.02)  # in its thread: so that two would meet
        running -= 1
        return good()

    async with bench.running():
        bench.house._load = counted
        await eventually(bench.ready)
        first = [asyncio.create_task(bench.reload()) for _ in range(5)]
        del bench.queries[0]
        second = [asyncio.create_task(bench.reload()) for _ in range(5)]
        statuses = [(await task).status_code for task in (*first, *second)]
        assert statuses == [200] * 10
        assert most == 1
        assert await bench.of("plays") == set()
        assert len(bench.house._schedule.next_polls()) == 2


async def test_reloads_while_all_polls_hang_are_answered_and_cancel_only_what_goes(bench):
    gate = Gate()
    gate.open.clear()
    bench.smartsight.intercept = bench.ibm.intercept = gate
    async with bench.running():
        await eventually(lambda: gate.come == 3)
        del bench.queries[0]
        assert (await bench.reload()).status_code == 200
        await eventually(lambda: bench.polls == 2)
        bench.queries[0]["dimensions"] = ["cdn"]
        assert (await bench.reload()).status_code == 200
        await eventually(lambda: gate.come == 4)
        assert bench.polls == 2
        gate.open.set()
        await eventually(bench.ready)
        assert await bench.of("plays") == set()
        assert bench.logins() == 1


async def test_a_hundred_reloads_leave_nothing_behind(bench):
    async with bench.running():
        await eventually(bench.ready)
        original = json.dumps([bench.sources, bench.queries])

        async def change(number):
            bench.sources, bench.queries = json.loads(original)
            if number % 2:
                bench.sources["mm"]["limits"] = {"concurrency": 1 + number % 5}
                bench.sources[f"more-{number % 3}"] = bench.sources["mm"]
                bench.queries[0]["window"] = f"{5 + number}m"
                bench.queries.append({"name": f"n{number}", "source": f"more-{number % 3}", "metrics": ["errors"]})
                bench.sources["ibm"]["limits"] = {"concurrency": 1 + number % 3}
            assert (await bench.reload()).status_code == 200
            if not number % 10:
                await eventually(bench.ready)

        async def settled():
            await eventually(bench.ready)
            await eventually(lambda: len(bench.house._tasks) == 0, "old clients are closed")
            return parts(bench.house), len(await bench.series())

        await change(2)
        before = await settled()
        for number in range(100):
            await change(number)
        await change(2)
        after = await settled()
        left = before[0].pop("circuits"), after[0].pop("circuits")
        assert left[1] <= left[0] + 3, "one for each name that ever was, at most"
        assert {name: (before[0][name], count) for name, count in after[0].items() if count > before[0][name]} == {}
        assert after[1] <= before[1] + 30  # codes of requests that were cancelled


async def test_reloads_while_polls_hang_leave_nothing_behind_once_these_have_ended(bench):
    gate = Gate()
    bench.smartsight.intercept = gate
    async with bench.running():
        await eventually(bench.ready)
        before = parts(bench.house)
        gate.open.clear()
        for number in range(20):
            bench.queries[0]["window"] = f"{10 + number}m"
            bench.sources["mm"]["limits"] = {"concurrency": 2 + number % 2}
            assert (await bench.reload()).status_code == 200
        await eventually(lambda: bench.polls == 1)
        gate.open.set()
        await eventually(bench.ready)
        await eventually(lambda: not bench.house._tasks)
        assert parts(bench.house) == before


async def test_the_renderer_of_a_query_whose_first_poll_was_cut_off_is_not_used_by_another(bench, monkeypatch):
    """Its thread may still be at work with it: two at once would mix labels of one with numbers of the other."""
    entered, apart = asyncio.Event(), Poller._apart

    async def held(self, rows, work, *args, **kwargs):
        if work.__name__ == "render" and not entered.is_set():
            entered.set()
            await asyncio.Event().wait()
        return await apart(self, rows, work, *args, **kwargs)

    del bench.queries[1:]
    monkeypatch.setattr(Poller, "_apart", held)
    async with bench.running():
        await asyncio.wait_for(entered.wait(), PATIENCE)
        [old] = bench.house._poller._memory.values()
        bench.queries[0]["dimensions"] = ["country"]
        await bench.reload()
        await eventually(bench.ready)
        assert bench.house._poller._memory["mm", "plays"] is not old


# --- Storage ----------------------------------------------------------------------------------------------------------


async def test_after_a_restart_all_is_served_at_once_and_nothing_is_asked_before_it_is_due(bench, tmp_path):
    options = {"storage": tmp_path / "snapshots"}
    async with bench.running(**options):
        await eventually(bench.ready)
        before, data = await bench.series(), await bench.data()
        ticks = bench.house._schedule.next_polls()
    asked = len(bench.smartsight.answers), len(bench.ibm.answers)
    async with bench.running(**options):
        assert await bench.ready()
        assert await bench.data() == data
        after = await bench.series()
        for name in ("query_success", "query_series", "query_window_end_timestamp_seconds"):
            of = [line for line in before if line.startswith(f"{PREFIX}{name}{{")]
            assert len(of) == 3
            assert [after[line] for line in of] == [before[line] for line in of]
        assert bench.house._schedule.next_polls() == ticks
        bench.queries.append({"name": "errors", "source": "mm", "metrics": ["errors"]})
        await bench.reload()
        await eventually(bench.ready)  # by then others would have been asked, too
    assert (len(bench.smartsight.answers), len(bench.ibm.answers)) == (asked[0] + 1, asked[1])


async def test_after_a_restart_a_query_whose_last_poll_failed_waits_too_and_one_that_is_due_does_not(bench, tmp_path):
    options = {"storage": tmp_path / "snapshots"}
    bench.smartsight.api_key = "another"
    async with bench.running(**options):
        await eventually(bench.ready)
    asked = len(bench.smartsight.answers), len(bench.ibm.answers)
    bench.queries[2]["interval"] = "30m"  # changed, so it is due
    bench.ibm.intercept = gate = Gate()
    gate.open.clear()
    async with bench.running(**options):
        assert await bench.own("query_success", source="mm", query="plays") == 0
        assert not await bench.ready()
        gate.open.set()
        await eventually(bench.ready)
    assert len(bench.smartsight.answers) == asked[0]
    assert len(bench.ibm.answers) > asked[1]


async def test_a_storage_of_another_day_is_polled_at_once(bench, tmp_path, monkeypatch):
    options = {"storage": tmp_path / "snapshots"}
    async with bench.running(**options):
        await eventually(bench.ready)
        data = await bench.data()
    asked, real = len(bench.smartsight.answers), time.time
    monkeypatch.setattr("exporter.daemon.time.time", lambda: real() + 3 * 86400)
    gate = Gate()
    gate.open.clear()
    bench.smartsight.intercept = bench.ibm.intercept = gate
    async with bench.running(**options):
        assert await bench.data() == {}
        await eventually(lambda: gate.come == 3)
        gate.open.set()
        await eventually(lambda: len(bench.smartsight.answers) == asked + 2)
    assert data


async def test_a_query_that_a_reload_removes_is_gone_from_the_disk(bench, tmp_path):
    storage = tmp_path / "snapshots"
    async with bench.running(storage=storage):
        await eventually(lambda: len(list(storage.glob("*.snapshot"))) == 3)
        del bench.queries[0]
        await bench.reload()
        assert len(list(storage.iterdir())) == 2
    assert len(list(storage.iterdir())) == 2


async def test_storage_that_can_t_be_written_stops_nothing(bench, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with capture_logs() as logged:
        async with bench.running(storage=tmp_path / "file" / "snapshots"):
            await eventually(bench.ready)
            assert len(await bench.data()) > 3
            assert (await bench.http.get("/-/healthy")).status_code == 200
    assert sum(entry["event"] == "snapshots can't be stored" for entry in logged) == 1


async def test_no_secret_is_on_the_disk(bench, tmp_path):
    async with bench.running(storage=tmp_path):
        await eventually(bench.ready)
    files = list(tmp_path.iterdir())
    assert len(files) == 3
    assert not any(re.search(rb"a-key|a-secret", path.read_bytes()) for path in files)


# --- Where reloading is off -------------------------------------------------------------------------------------------


async def test_without_the_flag_a_post_is_forbidden_and_changes_nothing(bench):
    async with bench.running(lifecycle=False):
        del bench.queries[0]
        assert (await bench.reload()).status_code == 403
        assert len(bench.house._plan.jobs) == 3


# --- One piece of work on the CPU at a time ---------------------------------------------------------------------------


class Work:
    """Stands in for decoding: notes how many threads are in it at once, and waits until it may go on."""

    def __init__(self, real):
        self._real = real
        self._lock = threading.Lock()
        self.inside = self.most = self.count = 0
        self.go_on = threading.Event()

    def __call__(self, *args):
        with self._lock:
            self.inside += 1
            self.count += 1
            self.most = max(self.most, self.inside)
        self.go_on.wait(PATIENCE)
        with self._lock:
            self.inside -= 1
        return self._real(*args)


@pytest.fixture
def decoding(monkeypatch):
    work = Work(gather.decode)
    monkeypatch.setattr("exporter.gather.decode", work)
    monkeypatch.setattr("exporter.poll.AT_ONCE", -1)
    yield work
    work.go_on.set()


async def test_answers_that_come_at_once_are_decoded_one_at_a_time(bench, decoding):
    bench.queries[:] = [{"name": f"q{n}", "source": "mm", "metrics": ["views"], "window": 300 + n} for n in range(8)]
    bench.sources["mm"]["limits"] = {"concurrency": 8}
    async with bench.running():
        # Each waits for its answer to be read while it holds its place among the source's requests, or has left it.
        await eventually(lambda: len(bench.smartsight.answers) == 8)
        assert (await bench.http.get("/metrics")).status_code == 200
        decoding.go_on.set()
        await eventually(bench.ready)
    assert (decoding.most, decoding.count) == (1, 8)


async def test_the_thread_of_a_poll_that_was_cut_off_still_has_its_turn(bench, decoding):
    bench.queries[:] = [{"name": f"q{n}", "source": "mm", "metrics": ["views"], "window": 300 + n} for n in range(2)]
    async with bench.running():
        await eventually(lambda: decoding.inside == 1 and len(bench.smartsight.answers) == 2)
        for query in bench.queries:
            query["window"] += 300
        await bench.reload()
        await eventually(lambda: len(bench.smartsight.answers) == 4)
        for _ in range(1000):  # rounds of the loop, in which another thread would have begun
            if decoding.inside > 1:
                break
            await asyncio.sleep(0.001)
        decoding.go_on.set()
        await eventually(bench.ready)
    assert decoding.most == 1


async def test_a_source_whose_limits_change_needs_no_new_log_in(bench):
    async with bench.running():
        await eventually(bench.ready)
        bench.sources["ibm"]["limits"] = {"concurrency": 2}
        bench.queries.append({"name": "devices", "source": "ibm", "metrics": ["unique_devices"]})
        await bench.reload()
        await eventually(bench.ready)
        assert bench.logins() == 1
        assert await bench.of("devices")


async def test_a_query_that_changed_has_no_success_of_the_one_before_it_after_a_restart(bench, tmp_path):
    options = {"storage": tmp_path / "snapshots"}
    async with bench.running(**options):
        await eventually(bench.ready)

        async def refuse(_):
            return Response(status_code=404)

        bench.smartsight.intercept = refuse
        bench.queries[0]["dimensions"] = ["country"]
        await bench.reload()
        await eventually(bench.ready)
        name = bench.queries[0]["name"]
        assert await bench.own("query_last_success_timestamp_seconds", source="mm", query=name) is None
    async with bench.running(**options):
        assert await bench.own("query_success", source="mm", query=name) == 0
        assert await bench.own("query_last_success_timestamp_seconds", source="mm", query=name) is None


# --- Shards -----------------------------------------------------------------------------------------------------------


def spread(bench, count):
    """Have so many queries that no two ask for the same rows."""
    bench.queries[:] = [
        {"name": f"q{n}", "source": "mm", "metrics": ["views"], "window": 300 + n} for n in range(count)
    ]


def names(found):
    return {query["query"] for query in found["queries"]}


async def facts(bench):
    return (await bench.http.get("/api/v1/queries")).json()


async def test_shards_poll_and_tell_only_their_own(bench):
    spread(bench, 9)
    bench.sources["mm"]["limits"] = {"concurrency": 8, "requests_per_minute": 60}
    found, limits, asked = [], [], 0
    for ordinal in range(3):
        async with bench.running(shard=Shard(ordinal, 3)):
            await eventually(bench.ready)
            told = await facts(bench)
            assert (told["shard_ordinal"], told["total_shards"]) == (ordinal, 3)
            assert (await bench.own("shard_ordinal"), await bench.own("total_shards")) == (ordinal, 3)
            series = await bench.series()
            for family in ("smartsight_views", f"{PREFIX}query_info", f"{PREFIX}query_success"):
                served = {re.search(r'query="(\w+)"', line)[1] for line in series if line.startswith(f"{family}{{")}
                assert served == names(told)
            config = (await bench.http.get("/config")).text
            assert config.startswith(f"# Shard {ordinal} of 0 to 2: ")
            assert {f"q{n}" for n in range(9) if f"name: q{n}\n" in config} == names(told)
            page = (await bench.http.get("/")).text
            assert f"Shard {ordinal} of 0 to 2: " in page
            assert {f"q{n}" for n in range(9) if f"<b>q{n}</b>" in page} == names(told)
            assert len(bench.smartsight.answers) - asked == len(names(told))
            asked = len(bench.smartsight.answers)
            found += names(told)
            limits += [(of["limit_concurrency"], of["limit_requests_per_minute"]) for of in told["sources"]]
    assert sorted(found) == [f"q{n}" for n in range(9)]
    assert [sum(parts) for parts in zip(*limits, strict=True)] == [8, 60]


async def test_a_shard_without_queries_is_ready_and_gets_some_by_a_reload(bench):
    spread(bench, 1)
    owner = next(n for n in range(2) if Shard(n, 2).own(bench.load()).queries)
    async with bench.running(shard=Shard(1 - owner, 2)):
        assert await bench.ready()
        assert (await facts(bench))["queries"] == []
        assert "This shard has no queries" in (await bench.http.get("/")).text
        assert await bench.data() == {}
        spread(bench, 12)
        bench.sources["mm"]["limits"] = {"concurrency": 4}
        assert (await bench.reload()).status_code == 200
        await eventually(bench.ready)
        [source] = (await facts(bench))["sources"]
        assert 0 < len(await bench.data()) < 12
        assert 0 < source["limit_concurrency"] < 4
        spread(bench, 1)
        assert (await bench.reload()).status_code == 200
        assert await bench.data() == {}
        assert await bench.ready()


async def test_a_reload_that_moves_no_query_asks_for_nothing_and_changes_the_part_of_the_limits(bench):
    spread(bench, 8)
    bench.sources["mm"]["limits"] = {"concurrency": 8}
    async with bench.running(shard=Shard(0, 2)):
        await eventually(bench.ready)
        data, asked = await bench.data(), len(bench.smartsight.answers)
        bench.sources["mm"]["limits"] = {"concurrency": 80}
        assert (await bench.reload()).status_code == 200
        [source] = (await facts(bench))["sources"]
        assert source["limit_concurrency"] == 10 * len(data)
        assert await bench.data() == data
        assert await bench.ready()
        assert len(bench.smartsight.answers) == asked


async def test_discovery_by_peers_goes_by_the_port_that_is_listened_on(bench):
    async with bench.running(shard=Shard(1, 3), peers=("a", "b", "c:1"), external_url="http://own:2"):
        port = bench.http.base_url.port
        found = (await bench.http.get("/sd")).json()
    assert [target for group in found for target in group["targets"]] == [f"a:{port}", "own:2", "c:1"]
