"""Grafana dashboards that fit a configuration: which exist, and what they are generated from.

Figures go one way: ``feeds`` (what the queries bring) -> ``offer`` (which query shows what, in PromQL) -> ``panels``
and the modules of the dashboards (what is asked, in which order) -> ``build`` (Grafana's words).
"""

from collections.abc import Mapping
from dataclasses import replace

from exporter.config import Config
from exporter.dashboards import events, explorer, health, history, smartsight
from exporter.dashboards.build import render
from exporter.dashboards.feeds import feeds
from exporter.dashboards.offer import Offer
from exporter.dashboards.panels import health as freshness
from exporter.dashboards.spec import Board


def boards(config: Config) -> tuple[Board, ...]:
    """Give the dashboards for which a configuration has a query, each with the exporter's freshness as its last row."""
    offer = Offer(feeds(config))
    quality = offer.of("smartsight")
    found = (
        smartsight.overview(quality),
        smartsight.startup(quality),
        smartsight.playback(quality),
        explorer.explorer(offer),
        smartsight.ads(quality),
        events.live(offer),
        events.ibm(offer),
    )
    fed = (board for board in found if board and board.asked and board.panels)
    return *(_with_freshness(board) for board in fed), health.health(history.panels(config))


def generate(config: Config) -> Mapping[str, str]:
    """Give the files: names, and Grafana's JSON."""
    return {f"{board.name}.json": render(board) for board in boards(config)}


def _with_freshness(board: Board) -> Board:
    return replace(board, rows=(*board.rows, freshness(board.asked)))
