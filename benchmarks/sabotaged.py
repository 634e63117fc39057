"""The exporter with a fault that the chaos run must find: proof that its judge can say "wrong" and "unseen".

    python benchmarks/chaos.py --minutes 1 --command "python benchmarks/sabotaged.py partial"

``partial`` publishes the pages that came where one fails, ``stale`` keeps old values for ever, ``silent`` loses
every fifth answer and says nothing.
"""

import sys
from typing import Any

from exporter.cli import main
from exporter.model import Snapshot
from exporter.normalise import Tabulator
from exporter.poll import Poller
from exporter.providers.errors import VendorError
from exporter.store import Store


def partial() -> None:
    """Publish what has come when a page fails."""
    whole = Poller._pages  # noqa: SLF001 - sabotage

    async def pages(self: Poller, *arguments: Any) -> None:  # noqa: ANN401 - whatever the real one takes
        tabulator = next(each for each in arguments if isinstance(each, Tabulator))
        try:
            await whole(self, *arguments)
        except VendorError:
            if not tabulator.table().rows:
                raise

    Poller._pages = pages  # type: ignore[assignment, method-assign]  # noqa: SLF001


def stale() -> None:
    """Never let go of a value."""
    Store._expire = lambda _: None  # type: ignore[assignment, method-assign]  # noqa: SLF001


def silent() -> None:
    """Lose every fifth answer on its way to the store."""
    swap, count = Store.swap, 0

    def lose(self: Store, snapshot: Snapshot) -> None:
        nonlocal count
        count += 1
        if count % 5:
            swap(self, snapshot)
        else:
            self._snapshots[snapshot.query.key] = None
            self._version += 1

    Store.swap = lose  # type: ignore[method-assign]


if __name__ == "__main__":
    {"partial": partial, "stale": stale, "silent": silent}[sys.argv.pop(1)]()
    main()
