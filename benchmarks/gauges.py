"""prometheus-client as it comes: gauges with the samples of the comparison, served by its own threaded server.

python benchmarks/gauges.py PORT SERIES
"""

import sys
import threading

from prometheus_client import CollectorRegistry, Gauge, start_http_server
from samples import FAMILIES, HELP, LABELS, SOURCE, Holding, table


def main(port: int, series: int) -> None:
    """Fill the gauges, and serve them until killed."""
    registry, holding = CollectorRegistry(), Holding.of(series)
    gauges = [Gauge(family, HELP, LABELS, registry=registry) for family in FAMILIES.values()]
    for query in holding.names:
        for row in table(query, holding.rows):
            for gauge, value in zip(gauges, row.values, strict=True):
                gauge.labels(SOURCE, query, *row.labels).set(value)
    start_http_server(port, "127.0.0.1", registry)
    threading.Event().wait()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
