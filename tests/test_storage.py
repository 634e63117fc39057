import asyncio
import contextlib
import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from exporter import storage as module
from exporter.config import load
from exporter.gzipped import deflate
from exporter.model import Chunk, Family, Outcome, Snapshot, Window
from exporter.plan import plan
from exporter.storage import ASIDE, SUFFIX, Storage

NOW = 1_775_764_800.0  # 2026-04-09 20:00 UTC
PATIENCE = 30
SECRETS = {"api_key": "canary-key", "client_secret": "canary-secret", "password": "canary-password"}
SOURCES = {
    "mm": {"type": "smartsight", "customer_id": 7, "auth": {"api_key": "canary-key"}},
    "user": {
        "type": "smartsight",
        "customer_id": 7,
        "auth": {
            "username": "ops@example.com",
            "password": "canary-password",
            "token_url": "https://example.com/token",
            "client_id": "c",
        },
    },
    "ibm": {"type": "ibm_video", "auth": {"client_id": "c", "client_secret": "canary-secret"}},
}


def jobs(sources=SOURCES, **more):
    queries = [
        {"name": "a", "source": "mm", "metrics": ["views"], "dimensions": ["cdn"], **more},
        {"name": "b", "source": "ibm", "metrics": ["total_views"], **more},
        {"name": "c", "source": "user", "metrics": ["views"], **more},
    ]
    return plan(load(json.dumps({"sources": sources, "queries": queries}), name="config.yaml", env={})).jobs


def outcome(job, **more):
    facts = {"window": Window(0, 300), "ended": NOW - 10, "duration": 2.0, "series": 1}
    return Outcome(job.query, **facts | more)


@dataclass
class Disk:
    """A directory, and the two clocks of those that store there; each ``storage`` is another process's."""

    path: Path
    now: float = NOW
    steady: float = 500.0
    logged: list = field(default_factory=list)

    def storage(self):
        return Storage(self.path, lambda: self.now, lambda: self.steady)

    def snapshot(self, job, age=10.0, text=b"a 1\n"):
        chunk = Chunk(Family("a", "A."), deflate(text), 1)
        return Snapshot(job.query, (chunk,), Window(0, 300), self.steady - age)

    def save(self, job, **more):
        self.write(job, outcome(job, **more), self.snapshot(job))

    def write(self, job, ended, snapshot):
        storage = self.storage()
        storage.put(job, ended, snapshot)
        storage._write(storage._waiting)

    def restore(self, found):
        with capture_logs() as logged:
            restored = {each.job.query.name: each for each in self.storage().restore(found)}
        self.logged = [(entry["log_level"], entry["event"]) for entry in logged]
        return restored

    def files(self, suffix=SUFFIX):
        return sorted(path.name for path in self.path.glob(f"*{suffix}"))


@pytest.fixture
def disk(tmp_path):
    return Disk(tmp_path / "storage")


@contextlib.asynccontextmanager
async def keeping(storage):
    """Have what waits written, until the context closes."""
    task = asyncio.create_task(storage.keep_writing())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def eventually(condition):
    async with asyncio.timeout(PATIENCE):
        while not (result := condition()):  # noqa: ASYNC110 - a thread brings it about
            await asyncio.sleep(0.01)
    return result


SET_ASIDE = ("warning", "a stored snapshot is set aside")
CANT = ("error", "snapshots can't be stored")
AGAIN = ("info", "snapshots are stored again")


# --- There and back ---------------------------------------------------------------------------------------------------


def test_what_was_stored_comes_back_with_its_true_times_on_the_clocks_of_another_process(disk):
    for job in jobs():
        disk.path.mkdir(exist_ok=True)
        disk.save(job)
    disk.now, disk.steady = NOW + 20, 7.0  # the machine was started anew
    found = disk.restore(jobs())
    assert found.keys() == {"a", "b", "c"}
    for job in jobs():
        restored = found[job.query.name]
        assert restored.outcome == restored.good == outcome(job)
        assert restored.snapshot == Snapshot(
            job.query, (Chunk(Family("a", "A."), deflate(b"a 1\n"), 1),), Window(0, 300), pytest.approx(7.0 - 30)
        )
    assert disk.logged == []


def test_a_poll_that_failed_keeps_the_good_answer_before_it(disk):
    [job, *_] = jobs()
    disk.path.mkdir()
    failed = outcome(job, reason="timeout", error="Late.", window=Window(60, 360), series=0)
    storage = disk.storage()
    storage.put(job, outcome(job), disk.snapshot(job))
    storage.put(job, failed, disk.snapshot(job))
    storage._write(storage._waiting)
    restored = disk.restore(jobs())["a"]
    assert (restored.outcome.reason, restored.outcome.window) == ("timeout", Window(60, 360))
    assert restored.outcome.error
    assert restored.good == outcome(job)
    assert restored.snapshot.window == Window(0, 300)


def test_a_query_that_never_had_an_answer_is_restored_without_one(disk):
    [job, *_] = jobs()
    disk.path.mkdir()
    disk.write(job, outcome(job, reason="auth", error="No."), None)
    restored = disk.restore(jobs())["a"]
    assert (restored.snapshot, restored.outcome.reason) == (None, "auth")


@pytest.mark.parametrize(
    ("age", "served"), [(0, True), (299.9, True), (300, False), (1e6, False), (-0.1, False), (-1e6, False)]
)
def test_nothing_too_old_and_nothing_from_the_future_is_served(disk, age, served):
    [job, *_] = jobs(max_age="5m")
    disk.path.mkdir()
    disk.save(job)
    disk.now = NOW - 10 + age
    [restored] = disk.restore([job]).values()
    assert (restored.snapshot is not None) == served
    assert disk.logged == []


def test_the_max_age_that_counts_is_that_of_the_query_now(disk):
    [job, *_] = jobs()
    disk.path.mkdir()
    disk.save(job)
    disk.now = NOW + 100
    shorter = replace(job, query=replace(job.query, max_age=60))  # as if by the same identity
    assert disk.restore([shorter])["a"].snapshot is None


MM, IBM = SOURCES["mm"], SOURCES["ibm"]


@pytest.mark.parametrize(
    ("source", "query", "kept"),
    [
        ({"mm": {**MM, "customer_id": 8}}, {}, "bc"),
        ({"mm": {**MM, "base_url": "https://other.example.com"}}, {}, "bc"),
        ({"mm": {**MM, "plan_level": 9}}, {}, "bc"),
        ({"mm": {**MM, "labels": {"environment": "prod"}}}, {}, "bc"),
        ({"ibm": {**IBM, "auth": {**IBM["auth"], "client_id": "other"}}}, {}, "ac"),
        ({"ibm": {**IBM, "base_url": "https://other.example.com/v1"}}, {}, "ac"),
        ({"user": {**SOURCES["user"], "auth": {**SOURCES["user"]["auth"], "username": "x@example.com"}}}, {}, "ab"),
        ({"mm": {**MM, "auth": {"api_key": "rotated"}}}, {}, "abc"),
        ({"mm": {**MM, "auth": {"api_key_file": "/run/secrets/key"}}}, {}, "abc"),
        ({"mm": {**MM, "limits": {"concurrency": 1}}}, {}, "abc"),
        ({"mm": {**MM, "http": {"proxy_url": "http://proxy:3128"}}}, {}, "abc"),
        ({"ibm": {**IBM, "auth": {**IBM["auth"], "client_secret": "rotated"}}}, {}, "abc"),
        ({}, {"window": "10m"}, ""),
        ({}, {"interval": "2m"}, ""),
        ({}, {"delay": "3m"}, ""),
        ({}, {"max_series": 9}, ""),
        ({}, {"on_missing": "zero"}, ""),
        ({}, {"empty_label": "none"}, ""),
    ],
)
def test_only_what_asks_the_same_of_the_same_account_comes_back(disk, source, query, kept):
    disk.path.mkdir()
    for job in jobs():
        disk.save(job)
    found = disk.restore(jobs({**SOURCES, **source}, **query))
    assert "".join(sorted(found)) == kept
    assert disk.logged == []
    assert len(disk.files()) == 3, "the old configuration may come back"


def test_the_same_query_at_another_source_or_by_another_name_is_another(disk):
    disk.path.mkdir()
    for job in jobs():
        disk.save(job)
    other = {"sources": {"mm2": MM, "mm": MM}, "queries": []}
    other["queries"] = [
        {"name": "a", "source": "mm2", "metrics": ["views"], "dimensions": ["cdn"]},
        {"name": "A", "source": "mm", "metrics": ["views"], "dimensions": ["cdn"]},
    ]
    assert disk.restore(plan(load(json.dumps(other), name="c", env={})).jobs) == {}


def test_no_secret_is_in_any_file(disk):
    disk.path.mkdir()
    for job in jobs():
        disk.write(job, outcome(job, reason="auth", error="refused: canary-key"), disk.snapshot(job))
    for path in disk.path.iterdir():
        assert b"canary" not in path.read_bytes()


# --- Files that are none ----------------------------------------------------------------------------------------------


def damages(draw, content):
    kind = draw(st.sampled_from(["cut", "flip", "append", "swap"]))
    at = draw(st.integers(0, len(content) - 1))
    if kind == "cut":
        return content[:at]
    if kind == "flip":
        return content[:at] + bytes([content[at] ^ draw(st.integers(1, 255))]) + content[at + 1 :]
    if kind == "append":
        return content + draw(st.binary(min_size=1, max_size=9))
    return draw(st.binary(max_size=200))


def reads(path):
    """Read one file as the storage does."""
    return Storage(path.parent, lambda: NOW, lambda: 0.0)._read(path)


def test_every_truncation_and_every_flipped_byte_is_noticed(disk):
    disk.path.mkdir()
    [job, *_] = jobs()
    disk.save(job)
    [path] = disk.path.iterdir()
    content = path.read_bytes()
    assert reads(path)
    with capture_logs() as logged:
        damaged = [content[:length] for length in range(len(content))]
        damaged += [content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :] for at in range(len(content))]
        for number, bad in enumerate(damaged, 1):
            path.write_bytes(bad)
            assert reads(path) is None
            assert path.with_suffix(ASIDE).read_bytes() == bad
            assert not path.exists()
            assert len(logged) == number


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.data())
def test_a_damaged_file_is_set_aside_with_one_warning_and_the_others_are_served(tmp_path_factory, data):
    disk = Disk(tmp_path_factory.mktemp("storage"))
    planned = jobs()
    for job in planned:
        disk.save(job)
    victim = data.draw(st.sampled_from(sorted(disk.path.iterdir())))
    good = victim.read_bytes()
    bad = damages(data.draw, good)
    victim.write_bytes(bad)
    found = disk.restore(planned)
    if bad == good:
        return
    assert len(found) == 2
    assert all(restored.snapshot for restored in found.values())
    assert disk.logged == [SET_ASIDE]
    assert victim.with_suffix(ASIDE).read_bytes() == bad
    assert not victim.exists()
    assert len(disk.restore(planned)) == 2
    assert disk.logged == [], "it is told once"


@pytest.mark.parametrize("kind", ["other shape", "no MessagePack", "old version"])
def test_a_file_of_another_version_is_set_aside(disk, kind):
    disk.path.mkdir()
    planned = jobs()
    for job in planned:
        disk.save(job)
    victim = disk.path / disk.files()[0]
    content = {"other shape": module.msgspec.msgpack.encode({"identity": 7}), "no MessagePack": b"\xc1"}.get(kind, b"")
    magic = module.MAGIC.replace(b"1\n", b"0\n") if kind == "old version" else module.MAGIC
    victim.write_bytes(magic + module.hashlib.sha256(content).digest() + content)
    assert len(disk.restore(planned)) == 2
    assert disk.logged == [SET_ASIDE]


def test_files_of_others_are_left_alone(disk):
    disk.path.mkdir()
    names = ["notes.txt", ".hidden", "lost+found", f"x{SUFFIX}.bak", f"old{ASIDE}"]
    for name in names:
        (disk.path / name).write_text("mine")
    assert disk.restore(jobs()) == {}
    assert disk.logged == []
    assert {path.name for path in disk.path.iterdir()} == set(names)


def test_a_directory_of_that_name_is_set_aside_and_the_others_are_served(disk):
    disk.path.mkdir()
    planned = jobs()
    for job in planned:
        disk.save(job)
    victim = disk.path / disk.files()[0]
    victim.unlink()
    victim.mkdir()
    (victim / "inside").write_text("mine")
    assert len(disk.restore(planned)) == 2
    assert disk.logged == [SET_ASIDE]
    assert (victim.with_suffix(ASIDE) / "inside").read_text() == "mine"


def test_a_file_that_can_t_be_read_is_set_aside_and_the_others_are_served(disk, monkeypatch):
    disk.path.mkdir()
    planned = jobs()
    for job in planned:
        disk.save(job)
    victim, read_bytes = disk.path / disk.files()[0], Path.read_bytes

    def refuse(path):
        if path == victim:
            raise PermissionError(13, "Permission denied")
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert len(disk.restore(planned)) == 2
    assert disk.logged == [SET_ASIDE]


def test_where_nothing_can_be_set_aside_the_others_are_served_all_the_same(disk, monkeypatch):
    disk.path.mkdir()
    planned = jobs()
    for job in planned:
        disk.save(job)
    (disk.path / disk.files()[0]).write_bytes(b"?")

    def refuse(*_):
        raise OSError(30, "Read-only file system")

    for name in ("replace", "unlink"):
        monkeypatch.setattr(Path, name, refuse)
    assert len(disk.restore(planned)) == 2
    assert disk.logged == [SET_ASIDE]


# --- Directories that are none ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["itself", "above"])
def test_a_file_in_the_place_of_the_directory_is_told_once_and_stops_nothing(disk, where):
    disk.path.write_text("mine")
    if where == "above":
        disk.path /= "storage"
    [job, *_] = jobs()
    storage = disk.storage()
    with capture_logs() as logged:
        assert list(storage.restore([job])) == []
        for _ in range(3):
            storage.put(job, outcome(job), disk.snapshot(job))
            storage._write(storage._waiting)
        storage.forget(job.query)
    assert [(entry["log_level"], entry["event"]) for entry in logged] == [CANT]
    assert logged[0]["path"] == str(disk.path)
    assert logged[0]["error"]


def test_a_directory_that_comes_later_is_written_to(disk):
    disk.path.write_text("in the way")
    [job, *_] = jobs()
    storage = disk.storage()
    with capture_logs() as logged:
        list(storage.restore([job]))
        disk.path.unlink()
        storage.put(job, outcome(job), disk.snapshot(job))
        storage._write(storage._waiting)
    assert [(entry["log_level"], entry["event"]) for entry in logged] == [CANT, AGAIN]
    assert disk.restore([job])["a"].snapshot


@pytest.fixture
def full(monkeypatch):
    """A disk that is full as long as the list that it gives is empty."""
    freed, write_bytes = [], Path.write_bytes

    def write(path, content):
        if not freed:
            write_bytes(path, content[:100])
            raise OSError(28, "No space left on device")
        return write_bytes(path, content)

    monkeypatch.setattr(Path, "write_bytes", write)
    return freed


async def test_a_full_disk_is_told_once_leaves_the_old_file_and_is_written_again_when_there_is_room(disk, request):
    [job, *_] = jobs()
    disk.path.mkdir()
    disk.save(job)
    freed = request.getfixturevalue("full")
    storage = disk.storage()
    with capture_logs() as logged:
        async with keeping(storage) as task:
            for ended in (1, 2, 3):
                storage.put(job, outcome(job, ended=NOW + ended), disk.snapshot(job))
                await eventually(lambda: not storage._waiting)
            await eventually(lambda: logged)
            assert disk.restore([job])["a"].outcome.ended == NOW - 10
            freed.append(True)
            storage.put(job, outcome(job, ended=NOW + 4), disk.snapshot(job))
            # Looking at the disk takes what is logged meanwhile.
            await eventually(lambda: len(logged) == 2)
            await eventually(lambda: disk.restore([job])["a"].outcome.ended == NOW + 4)
            assert not task.done()
    assert [(entry["log_level"], entry["event"]) for entry in logged] == [CANT, AGAIN]


async def test_what_a_full_disk_did_not_take_is_written_when_there_is_room(disk, full):
    disk.path.mkdir()
    [job, *_] = jobs()
    storage = disk.storage()
    async with keeping(storage):
        storage.put(job, outcome(job), disk.snapshot(job))
        await eventually(lambda: not storage._works)
        full.append(True)
    # ... at the latest when it ends
    assert disk.files()


async def test_what_a_thread_was_given_and_had_not_begun_is_written_when_it_ends(disk):
    disk.path.mkdir()
    [job, *_] = jobs()
    storage, busy = disk.storage(), threading.Event()
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as only:
        loop.set_default_executor(only)
        loop.run_in_executor(None, busy.wait)
        try:
            async with keeping(storage):
                storage.put(job, outcome(job), disk.snapshot(job))
                await eventually(lambda: not storage._waiting)
                assert not disk.files()
            assert disk.files()
        finally:
            busy.set()


def test_one_file_that_can_t_be_written_keeps_no_other_from_it(disk):
    disk.path.mkdir()
    planned = jobs()
    storage = disk.storage()
    for job in planned:
        storage.put(job, outcome(job), disk.snapshot(job))
    in_the_way = disk.path / next(iter(storage._waiting))
    in_the_way.mkdir()
    with capture_logs():
        storage._write(storage._waiting)
    assert sum(path.is_file() for path in disk.path.glob(f"*{SUFFIX}")) == 2


# --- Writing ----------------------------------------------------------------------------------------------------------


async def test_a_poll_is_on_disk_soon_and_only_the_last_one(disk):
    [job, *_] = jobs()
    disk.path.mkdir()
    storage = disk.storage()
    async with keeping(storage):
        for ended in range(5):
            storage.put(job, outcome(job, ended=NOW - ended), disk.snapshot(job))
        await eventually(disk.files)
        await eventually(lambda: disk.restore([job])["a"].outcome.ended == NOW - 4)
    assert not disk.files(".new")


def test_the_promise_of_two_seconds_leaves_time_to_write():
    assert module.EVERY <= 1


async def test_what_waits_when_it_ends_is_written(disk):
    [job, *_] = jobs()
    disk.path.mkdir()
    storage = disk.storage()
    async with keeping(storage):
        await asyncio.sleep(0)
        storage.put(job, outcome(job), disk.snapshot(job))
    assert disk.restore([job])["a"].snapshot


def test_a_file_is_never_seen_half_written(disk, monkeypatch):
    """Whoever reads at any moment of a write finds the old one whole; only the name changes hands."""
    [job, *_] = jobs()
    disk.path.mkdir()
    disk.save(job)
    [name] = disk.files()
    before, seen, write_bytes = (disk.path / name).read_bytes(), [], Path.write_bytes

    def write(path, content):
        for part in (content[:50], content):
            write_bytes(path, part)
            seen.append((disk.path / name).read_bytes())

    monkeypatch.setattr(Path, "write_bytes", write)
    disk.save(job, ended=NOW + 1)
    assert seen == [before, before]
    assert (disk.path / name).read_bytes() != before


def test_what_a_killed_process_left_half_written_does_no_harm(disk):
    [job, *_] = jobs()
    disk.path.mkdir()
    disk.save(job)
    [name] = disk.files()
    (disk.path / name).with_suffix(".new").write_bytes(b"half")
    assert disk.restore([job])["a"].snapshot
    disk.save(job, ended=NOW + 1)
    assert disk.restore([job])["a"].outcome.ended == NOW + 1
    assert disk.files(".new") == []


def test_a_forgotten_query_leaves_no_file_be_it_written_or_waiting(disk):
    planned = jobs()
    disk.path.mkdir()
    for job in planned:
        disk.save(job)
    storage = disk.storage()
    for job in planned[:2]:
        storage.put(job, outcome(job), disk.snapshot(job))
        storage.forget(job.query)
    storage.forget(planned[0].query)
    storage._write(storage._waiting)
    assert disk.restore(planned).keys() == {"c"}
    assert len(list(disk.path.iterdir())) == 1


def test_files_that_nobody_wants_any_more_go_once_they_are_too_old(disk):
    [job, *others] = jobs()
    disk.path.mkdir()
    for each in (job, *others):
        disk.save(each)
    disk.restore([job])
    assert len(disk.files()) == 3
    disk.now = NOW + job.query.max_age
    disk.restore([job])
    assert len(disk.files()) == 1


# --- What is due ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["", "timeout"])
@given(
    interval=st.integers(1, 86400),
    began=st.floats(0, 1e9).map(lambda past: NOW - past),
    duration=st.floats(0, 100),
    later=st.floats(0, 200_000),
)
def test_a_query_is_due_once_a_tick_has_passed_since_its_last_poll_began(reason, interval, began, duration, later):
    [job, *_] = jobs(interval=interval)
    ended, now = began + duration, began + duration + later
    restored = module.Restored(job, outcome(job, ended=ended, duration=duration, reason=reason), None, 0)
    tick = job.next_tick(ended - duration)
    assert restored.due(now) == (tick <= now)
    if later > interval:
        assert restored.due(now)


@given(ahead=st.floats(0.001, 1e6))
def test_a_poll_that_the_clock_says_is_still_to_come_is_due(ahead):
    [job, *_] = jobs()
    assert module.Restored(job, outcome(job, ended=NOW + ahead, duration=0), None, 0).due(NOW)


def test_an_identity_is_the_same_in_every_process():
    code = "import json, sys; from exporter.config import load; from exporter.plan import plan\n"
    code += "print([job.identity for job in plan(load(sys.argv[1], name='c', env={})).jobs])"
    queries = [
        {
            "name": "a",
            "source": "mm",
            "metrics": ["views", "latency"],
            "dimensions": ["cdn", "country"],
            "filters": {"country": ["US", "Canada"], "platform": "Android"},
            "options": {"allstatus": 1},
        },
        {"name": "b", "source": "ibm", "metrics": ["view_segments", "view_sessions"], "dimensions": ["content_type"]},
    ]
    text = json.dumps({"sources": SOURCES, "queries": queries})
    seen = {
        subprocess.run(
            [sys.executable, "-c", code, text],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in "123"
    }
    assert len(seen) == 1
