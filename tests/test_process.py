"""What is told of the process, held against what prometheus-client tells."""

import errno
import os
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

from exporter import process
from exporter.process import DESCRIPTORS, Process, open_descriptors


def values(collector):
    return {sample.name: sample.value for family in collector.collect() for sample in family.samples}


def heads(collector):
    registry = CollectorRegistry()
    registry.register(collector)
    return [line for line in generate_latest(registry).decode().splitlines() if line.startswith("#")]


@pytest.fixture
def theirs():
    return ProcessCollector(registry=CollectorRegistry())


def test_names_types_and_texts_are_prometheus_clients(theirs):
    assert heads(Process()) == heads(theirs)
    assert len(heads(theirs)) == 2 * 6


def test_values_are_prometheus_clients(theirs):
    ours = Process()
    before, found, after = values(theirs), values(ours), values(theirs)
    for name in ("process_start_time_seconds", "process_max_fds"):
        assert found[name] == before[name]
    ticks = 2 / os.sysconf("SC_CLK_TCK")  # of user and of system time, each cut off
    cpu = "process_cpu_seconds_total"
    assert before[cpu] - ticks <= found[cpu] <= after[cpu] + ticks
    for name in ("process_virtual_memory_bytes", "process_resident_memory_bytes"):
        assert found[name] == pytest.approx(before[name], rel=0.05)


def test_open_descriptors_are_counted(theirs):
    ours = Process()
    values(ours)  # opens one of its own, once
    before = values(ours)["process_open_fds"]
    # To read the directory takes one more.
    assert before == values(theirs)["process_open_fds"] - 1
    held = [os.open(os.devnull, os.O_RDONLY) for _ in range(7)]
    assert values(ours)["process_open_fds"] == before + 7
    for each in held:
        os.close(each)
    assert values(ours)["process_open_fds"] == before


def test_where_the_directory_has_no_size_its_entries_are_counted():
    counted = open_descriptors(lambda _: SimpleNamespace(st_size=0))
    assert counted == len(list(DESCRIPTORS.iterdir()))


@pytest.fixture
def unreadable(monkeypatch):
    """Let nothing of /proc be read any more."""

    def unreadable(*_):
        raise OSError(errno.EMFILE, "Too many open files")

    def fail():
        monkeypatch.setattr(process, "open_descriptors", unreadable)
        monkeypatch.setattr(process, "_statm", unreadable)

    return fail


def test_what_can_t_be_read_any_more_is_told_as_it_was(unreadable):
    ours = Process()
    before = values(ours)
    unreadable()
    sum(range(10**6))  # takes some time of the processor
    after = values(ours)
    assert after.pop("process_cpu_seconds_total") > before.pop("process_cpu_seconds_total")
    assert after == before


def test_what_could_never_be_read_is_what_prometheus_client_has_read(unreadable, theirs):
    ours = Process()
    unreadable()
    assert values(ours)["process_open_fds"] == pytest.approx(values(theirs)["process_open_fds"], abs=2)


def test_where_prometheus_client_knows_nothing_nothing_is_told(monkeypatch):
    monkeypatch.setattr(ProcessCollector, "collect", lambda _: [])
    assert values(Process()) == {}


def test_memory_and_time_are_of_the_moment():
    ours = Process()
    first = values(ours)["process_resident_memory_bytes"]
    much = bytearray(os.urandom(1 << 16) * 1024)
    assert values(ours)["process_resident_memory_bytes"] >= first + len(much) * 0.9
