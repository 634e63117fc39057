"""What Prometheus' clients tell of their process, by prometheus-client, in fewer steps.

Between two system calls another thread may have its turn: reading /proc as prometheus-client does, file by file and
descriptor by descriptor, took a scrape 15 ms while a page was decoded.
"""

import os
import resource
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path

from prometheus_client import CollectorRegistry, Metric, ProcessCollector

DESCRIPTORS = Path("/proc/self/fd")


class Process:
    """A collector. What does not change is read once, by prometheus-client; where it knows nothing, nothing is told."""

    def __init__(self) -> None:
        self._families = tuple(ProcessCollector(registry=CollectorRegistry()).collect())

    def collect(self) -> Iterable[Metric]:
        """Give the families, as they are now."""
        now = _now() if self._families else {}
        for known in self._families:
            family = Metric(known.name, known.documentation, known.type)
            for sample in known.samples:
                family.add_sample(sample.name, sample.labels, now.get(sample.name, sample.value))
            yield family


def _now() -> Mapping[str, float]:
    virtual, resident, *_ = os.pread(_statm(), 128, 0).split()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "process_virtual_memory_bytes": float(virtual) * resource.getpagesize(),
        "process_resident_memory_bytes": float(resident) * resource.getpagesize(),
        "process_cpu_seconds_total": usage.ru_utime + usage.ru_stime,
        "process_open_fds": float(open_descriptors()),
    }


@cache
def _statm() -> int:
    return os.open("/proc/self/statm", os.O_RDONLY)


def open_descriptors(stat: Callable[[Path], os.stat_result] = os.stat) -> int:
    """Count the process' descriptors; Linux tells their number as the directory's size since 6.2."""
    return stat(DESCRIPTORS).st_size or len(list(DESCRIPTORS.iterdir()))
