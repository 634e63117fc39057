"""The clock for ages and waits: it never steps, and goes on while the machine sleeps."""

import time

# time.monotonic() stands still in a sleep, on Linux and on macOS; what CLOCK_MONOTONIC does differs between them.
SLEEPLESS = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def steady() -> float:
    """Give seconds since some moment of the past."""
    return time.clock_gettime(SLEEPLESS)
