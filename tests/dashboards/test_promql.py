"""What the expressions ask: metrics and labels that exist, one query each, and no sum of what may not be summed."""

import re
from functools import cache

import promql_parser
import pytest

from exporter.config import load
from exporter.dashboards.feeds import feeds
from exporter.demo import CREDENTIALS, example
from exporter.history.telemetry import Telemetry as HistoryTelemetry
from exporter.telemetry import Telemetry, described

SCRAPE = {"up", "scrape_samples_scraped", "scrape_duration_seconds"}
"""What Prometheus adds to each scrape."""

LABELS = {"job", "instance", "source", "query", "le", "row", "column", "__name__"}


SUFFIXES = {"gauge": ("",), "counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
"""Of the names of a family's samples."""


@cache
def own():
    """The exporter's own metrics as they are exposed, and their labels."""
    found = dict.fromkeys((*SCRAPE, "process_resident_memory_bytes", "process_cpu_seconds_total"), frozenset())
    telemetry = Telemetry(lambda: 0.0)
    HistoryTelemetry(telemetry)
    for family, labels in described(telemetry.registry):
        found |= dict.fromkeys((family.name + suffix for suffix in SUFFIXES[family.type]), frozenset(labels))
    return found


@pytest.fixture
def brought(request, configuration):
    """What the configuration of a dashboard brings: families, whether they may be summed, and labels by query."""
    kind = request.node.callspec.params["board"].partition("/")[0]
    text = configuration.get(kind) or example()
    return feeds(load(text, name="config.yaml", env=CREDENTIALS))


def nodes(expr, kind):
    found = []
    promql_parser.walk(expr, lambda node: found.append(node) if isinstance(node, kind) else None)
    return found


def name_of(selector):
    return selector.name or matched(selector, "__name__")[0]


def parsed(board, tools):
    for panel, target in tools.targets(board):
        yield panel, promql_parser.parse(tools.fill(target["expr"], board))


def matched(selector, name, op=promql_parser.MatchOp.Equal):
    return [each.value for each in selector.matchers.matchers if (each.name, each.op) == (name, op)]


def test_every_metric_and_label_is_known(board, tools, brought):
    exported = {
        family: {*feed.own, *feed.dimensions}
        for feed in brought
        for measure in feed.measures.values()
        for family in (measure.family, *(f"{measure.family}_{end}" for end in ("bucket", "sum", "count")))
    }
    labels = {label for feed in brought for label in feed.labels} | LABELS
    for panel, expr in parsed(board, tools):
        for selector in nodes(expr, promql_parser.VectorSelector):
            name = name_of(selector)
            used = {each.name for each in selector.matchers.matchers}
            assert name in exported or name in own(), f"{panel['title']}: {name}"
            assert used <= (own()[name] | LABELS if name in own() else labels), panel["title"]
        for aggregate in nodes(expr, promql_parser.AggregateExpr):
            by = set(aggregate.modifier.labels) if aggregate.modifier else set()
            assert by <= labels | {"reason", "endpoint", "code", "interval", "window", "delay", "receiver"}, panel[
                "title"
            ]


def test_a_selector_of_data_names_one_query_that_brings_the_metric(board, tools, brought):
    by_name = {feed.name: feed for feed in brought}
    for panel, expr in parsed(board, tools):
        for selector in nodes(expr, promql_parser.VectorSelector):
            name = name_of(selector)
            if name in own():
                continue
            (query,) = matched(selector, "query")
            families = {measure.family for measure in by_name[query].measures.values()}
            # The explorer's terms name several families, of which the chosen query need not have each.
            assert (
                board["uid"] == "vae-explorer"
                or re.sub("_(bucket|sum|count)$", "", name) in families
                or (name in families)
            ), panel["title"]


def test_nothing_is_a_rate_of_a_window(board, tools):
    for panel, expr in parsed(board, tools):
        for call in nodes(expr, promql_parser.Call):
            if call.func.name in ("rate", "irate", "increase", "delta", "deriv"):
                for argument in call.args:
                    for selector in nodes(argument, promql_parser.MatrixSelector):
                        assert name_of(selector.vector_selector) in own(), panel["title"]


def summable(expr, additive):
    """Whether values of an expression are of families that may be added up, or weighed by one of those."""
    match expr:
        case promql_parser.VectorSelector():
            several = matched(expr, "__name__", promql_parser.MatchOp.Re)
            # Of two matchers of the name, the one with the choice restricts the other.
            families = set(several[0].split("|")) if several else {name_of(expr)}
            return families <= additive | own().keys() or name_of(expr).endswith("_bucket")
        case promql_parser.BinaryExpr():
            sides = [summable(expr.lhs, additive), summable(expr.rhs, additive)]
            return any(sides) if str(expr.op) == "*" else sides[0] if str(expr.op) in ("and", ">") else all(sides)
        case promql_parser.Call() if expr.func.name == "label_replace":
            return summable(expr.args[0], additive)
        case promql_parser.Call():
            return all(name_of(each) in own() for each in nodes(expr, promql_parser.VectorSelector))
        case promql_parser.NumberLiteral():
            return False
    return summable(expr.expr, additive)


def test_only_what_may_be_summed_is(board, tools, brought):
    additive = {measure.family for feed in brought for measure in feed.measures.values() if measure.additive}
    for panel, expr in parsed(board, tools):
        for aggregate in nodes(expr, promql_parser.AggregateExpr):
            if str(aggregate.op) == "sum":
                assert summable(aggregate.expr, additive), f"{panel['title']}: {aggregate.expr.prettify()}"


@pytest.mark.parametrize(
    "wrong",
    [
        "sum(smartsight_startup_time_p95_seconds)",
        "sum by (cdn) (smartsight_buffering_ratio)",
        "sum(smartsight_unique_devices and smartsight_plays)",
        "sum(smartsight_startup_time_seconds > 1)",
        "sum(smartsight_startup_time_seconds / smartsight_plays)",
    ],
)
def test_a_wrong_sum_is_seen(wrong):
    (aggregate,) = nodes(promql_parser.parse(wrong), promql_parser.AggregateExpr)
    assert str(aggregate.op) == "sum"
    assert not summable(aggregate.expr, {"smartsight_plays"})


def test_no_metric_is_shown_that_no_query_brings(tools, configuration):
    boards = tools.made(configuration["no-quality-at-all"])
    assert sorted(boards) == ["explorer.json", "health.json", "ibm.json"]
    text = str(boards)
    assert "smartsight" not in text
    assert "ibm_video_total_views" not in text
