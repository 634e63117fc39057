"""The page at ``/``: what is polled, how it goes, and where the rest is."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

import exporter
from exporter.model import Outcome, Query

Key = tuple[str, str]

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""Content-Security-Policy: a vendor's text that slipped through could still run nothing and load nothing."""

STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
body { margin: 2rem auto; max-width: 75rem; padding: 0 1rem }
table { border-collapse: collapse; width: 100% }
th, td { border-bottom: 1px solid #8884; padding: .3rem .6rem; text-align: left; vertical-align: top }
.number { text-align: right; font-variant-numeric: tabular-nums }
"""

HEADINGS = ("Source", "Query", "State", "Last poll", "Window", "Series", "Next poll", "Error")


@dataclass(frozen=True, slots=True)
class State:
    """What the pages show, each asked for anew.

    Queries, their last outcomes and next polls; which sources' circuits are open; whether all goes on.
    """

    queries: Callable[[], Sequence[Query]]
    outcomes: Callable[[], Mapping[Key, Outcome]]
    next_polls: Callable[[], Mapping[Key, float]]
    circuits: Callable[[], Mapping[str, bool]]
    alive: Callable[[], bool]

    @property
    def ready(self) -> bool:
        """Whether the first poll of every query has ended; a reload may bring new ones."""
        outcomes = self.outcomes()
        return all(query.key in outcomes for query in self.queries())


def page(state: State, metrics_path: str) -> str:
    """Give the page as HTML; all that comes from the configuration or a vendor is escaped."""
    outcomes, next_polls, circuits = state.outcomes(), state.next_polls(), state.circuits()
    head = "".join(f'<th scope="col">{heading}</th>' for heading in HEADINGS)
    rows = "".join(
        "<tr>"
        + "".join(
            _cells(
                query,
                outcomes.get(query.key),
                next_polls.get(query.key),
                circuit_open=circuits.get(query.source, False),
            )
        )
        + "</tr>"
        for query in state.queries()
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>Video analytics exporter</title>'
        f"<style>{STYLE}</style></head><body><h1>Video analytics exporter</h1>"
        f'<p>Version {exporter.__version__} · <a href="{escape(metrics_path)}">Metrics</a> · '
        '<a href="/-/healthy">Health</a> · <a href="/-/ready">Readiness</a></p>'
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></body></html>\n"
    )


def _cells(query: Query, outcome: Outcome | None, next_poll: float | None, *, circuit_open: bool) -> Iterator[str]:
    state = "waiting" if outcome is None else "ok" if outcome.succeeded else f"fails ({outcome.reason})"
    source = f"{query.source} (circuit open: polled less often)" if circuit_open else query.source
    yield from (f"<td>{escape(text)}</td>" for text in (source, query.name, state))
    yield f"<td>{_time(outcome.ended) if outcome else ''}</td>"
    yield f"<td>{f'{_time(outcome.window.start)} to {_time(outcome.window.end)}' if outcome else ''}</td>"
    yield f'<td class="number">{outcome.series if outcome else ""}</td>'
    yield f"<td>{_time(next_poll) if next_poll else ''}</td>"
    yield f"<td>{escape(outcome.error) if outcome else ''}</td>"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
