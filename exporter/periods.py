"""The times of queries as numbers: what tells whether data is late for the query that it is of."""

from collections.abc import Iterable

from exporter.model import Query
from exporter.own_families import Numbers
from exporter.telemetry import BY_QUERY, PREFIX, Telemetry


class Periods:
    """Two of the times that ``query_info`` has in words, with which nothing can compute."""

    def __init__(self, own: Telemetry) -> None:
        def seconds(name: str, text: str) -> Numbers:
            return own.add(Numbers(f"{PREFIX}_query_{name}_seconds", text, "gauge", BY_QUERY))

        self._interval = seconds("interval", "Time from one poll of the query to the next.")
        self._delay = seconds("delay", "How long ago the period that a poll asks for ends, at least.")

    def configured(self, queries: Iterable[Query]) -> None:
        """Tell of these queries from now on, and of no others."""
        known = {query.key: query for query in queries}
        for family in (self._interval, self._delay):
            family.forget(lambda key: key not in known)
        for key, query in known.items():
            self._interval.set(key, query.interval)
            self._delay.set(key, query.delay)
