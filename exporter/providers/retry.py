"""Asking again for what may well come the second time, and never beyond the next tick."""

from collections.abc import Callable

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    wait_random_exponential,
)

from exporter.providers.errors import VendorError

ATTEMPTS = 5
"""Of one request in one tick: what has not come by then comes at the next tick, or is down."""

JITTER = wait_random_exponential(multiplier=1, max=30)
"""Up to 1 s before the first repeat, up to twice as much before each more, and never more than 30 s."""


def retries(
    until: float,
    *,
    clock: Callable[[], float],
    again: Callable[[], None],
) -> AsyncRetrying:
    """Give what repeats an awaitable while its errors are passing.

    Waits grow exponentially with full jitter, so that those who failed together do not come back together; a
    vendor's own advice stands in their place. No repeat begins at ``until``, by the clock, or later. ``again`` is told
    of each.
    """

    def enough(state: RetryCallState) -> bool:
        return stop_after_attempt(ATTEMPTS)(state) or clock() + state.upcoming_sleep >= until

    return AsyncRetrying(
        retry=retry_if_exception(lambda error: isinstance(error, VendorError) and error.passing),
        wait=_wait,
        stop=enough,
        before_sleep=lambda _: again(),
        reraise=True,
    )


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, VendorError) and error.wait is not None:
        return error.wait
    return JITTER(state)
