"""Each expression, of rules and runbooks: it can be parsed, and what it names is there."""

import re

import promql_parser
import pytest

from exporter.catalog import load as catalogue
from exporter.history.telemetry import Telemetry as HistoryTelemetry
from exporter.normalise import sanitise
from exporter.telemetry import Telemetry, described

SCRAPED = {"job", "instance"}
PROMETHEUS = {"up", "scrape_duration_seconds", "scrape_samples_scraped", "ALERTS"}
"""What Prometheus makes itself."""
MADE = {"ordinal"}
"""Labels that an expression makes."""


def nodes(expression, kind):
    found = []
    promql_parser.walk(
        promql_parser.parse(expression), lambda node: found.append(node) if isinstance(node, kind) else None
    )
    return found


def selectors(expression):
    """The metrics of an expression, and what their labels must be."""
    return [
        (node.name, {each.name: (str(each.op), each.value) for each in node.matchers.matchers})
        for node in nodes(expression, promql_parser.VectorSelector)
    ]


SUFFIXES = {"gauge": ("",), "counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
"""Of the names of a family's samples."""


def own_metrics():
    """The exporter's own metrics, and their labels."""
    found = {}
    telemetry = Telemetry(lambda: 0.0)
    HistoryTelemetry(telemetry)
    for family, labels in described(telemetry.registry):
        for suffix in SUFFIXES[family.type]:
            found[family.name + suffix] = {*labels, *SCRAPED}
    return found


@pytest.fixture(scope="module")
def known(example):
    """Each family of the example: by query, the labels that its series have."""
    found = {}
    for query in example.queries:
        labels = {*(name for name, _ in query.labels), *map(sanitise, query.dimensions)}
        for metric in query.metrics:
            found.setdefault(metric.family.name, {})[query.name] = labels
    return found


@pytest.fixture(scope="module")
def expressions(root, committed):
    """Where an expression stands, and the expression."""
    found = [(rule.get("record") or rule["alert"], rule["expr"]) for rule in committed]
    for file in sorted((root / "docs/runbooks").iterdir()):
        blocks = re.findall(r"```promql\n(.*?)```", file.read_text("utf-8"), re.DOTALL)
        found += [(file.name, line) for block in blocks for line in block.splitlines()]
    return found


def test_every_metric_and_label_is_known(expressions, committed, known):
    own, recorded = own_metrics(), {rule["record"] for rule in committed if "record" in rule}
    labels = SCRAPED | MADE | {label for each in known.values() for own_ in each.values() for label in own_}
    labels |= {label for each in own.values() for label in each}
    assert len(expressions) > 150
    for where, expression in expressions:
        for name, matchers in selectors(expression):
            if name in known:
                _, query = matchers.get("query", (None, None))
                assert query is None or query in known[name], (where, name)
                there = known[name][query] if query else set.union(*known[name].values())
                assert matchers.keys() <= there, (where, name)
            elif name in own:
                assert matchers.keys() <= own[name], (where, name)
            else:
                assert name in recorded | PROMETHEUS, (where, name)
        for node in nodes(expression, promql_parser.AggregateExpr):
            assert node.modifier is None or set(node.modifier.labels) <= labels, where
        for node in nodes(expression, promql_parser.BinaryExpr):
            matching = node.modifier and node.modifier.matching
            assert not matching or set(matching.labels) <= labels, where


def test_data_is_windowed_and_no_counter(expressions, known):
    for where, expression in expressions:
        for call in nodes(expression, promql_parser.Call):
            if call.func.name in {"rate", "irate", "increase", "delta", "sum_over_time", "resets"}:
                names = {name for name, _ in selectors(call.prettify())}
                assert not names & known.keys(), where
                assert not any(name.startswith("source") for name in names), where


def test_nothing_is_added_up_that_may_not_be(committed, known):
    additive = {
        each.family: each.additive
        for vendor in ("smartsight", "ibm_video")
        for each in (*catalogue(vendor).known.values(), *catalogue(vendor).counted.values())
    }
    checked = 0
    for rule in committed:
        for node in nodes(rule["expr"], promql_parser.AggregateExpr):
            names = [name for name, _ in selectors(node.prettify()) if name in known]
            if str(node.op) != "sum" or not names:
                continue
            checked += 1
            # A product with its weight may be added up, and a volume of which a ratio only says that it is there.
            assert additive[names[0]] or " * " in " ".join(node.prettify().split()), rule
            assert any(additive[name] for name in names), rule
    assert checked > 30


def test_runbooks_count_buffering_in_plays(expressions):
    """Its weight may be watch time."""
    found = [(where, each) for where, each in expressions if where.endswith(".md") and "buffering_ratio" in each]
    assert len(found) > 10
    assert [pair for pair in found if re.search(r"buffering_ratio:weight\b", pair[1])] == []


def test_a_recording_reads_one_query(committed):
    """The same family comes from several queries: mixed, they would count twice."""
    for rule in committed:
        if "record" in rule:
            chosen = {(matchers["source"], matchers["query"]) for _, matchers in selectors(rule["expr"])}
            assert len(chosen) == 1, rule["record"]
            assert all(value for pair in chosen for value in pair)


def test_every_ratio_has_a_volume_guard(alerts):
    guarded = 0
    for rule in alerts:
        names = [name for name, _ in selectors(rule["expr"])]
        if any(name.endswith((":weighted", ":baseline")) for name in names):
            guarded += 1
            assert re.search(r":(weight|volume|sum|baseline) >= \d+", rule["expr"]), rule["alert"]
    assert guarded >= 15


def test_a_share_has_a_guard_on_its_bad_events_too(alerts):
    """Three failures of a hundred attempts are above 2 %, and chance."""
    shares = ("startup_failure_ratio:weighted", "exit_before_start_ratio:weighted", "buffering_ratio:weighted")
    found = [rule for rule in alerts if any(f"{share} > " in rule["expr"] for share in shares)]
    assert len(found) == 9
    for rule in found:
        assert re.search(r"(:weighted_sum|:weighted \* \w+:\w+:volume) >= \d+$", rule["expr"]), rule["alert"]


def test_a_burn_rate_and_the_rest_are_not_recorded_of_too_few(committed):
    found = [rule for rule in committed if re.search(r":(mean_\w+|rest)$", rule.get("record", ""))]
    assert len(found) >= 20
    assert all(re.search(r">= 100\)?$", rule["expr"]) for rule in found)


def test_templates_use_labels_that_the_alert_has(alerts):
    keys = {"source", "query"}
    for rule in alerts:
        text = " ".join(rule["annotations"].values())
        used = set(re.findall(r"\$labels\.(\w+)", text))
        if rule["labels"]["category"] == "qoe":
            dimensions = set(re.findall(r"source_(\w+?):", rule["expr"])) | {*rule["labels"].get("by", "").split(",")}
            assert used <= keys | dimensions, rule["alert"]


def test_every_alert_compares(alerts):
    """Or it would fire for whatever is there."""
    for rule in alerts:
        ops = {str(node.op) for node in nodes(rule["expr"], promql_parser.BinaryExpr)}
        calls = {node.func.name for node in nodes(rule["expr"], promql_parser.Call)}
        assert ops & {">", "<", "==", "unless"} or "absent" in calls, rule["alert"]


def test_budgets_are_those_of_the_workbook(alerts):
    burns = {
        (rule["labels"]["window"], rule["expr"].split("> ")[1].split(" *")[0], rule["labels"]["severity"])
        for rule in alerts
        if "window" in rule["labels"]
    }
    critical, warning = {("1h", "14.4"), ("6h", "6")}, {("1d", "3"), ("3d", "1")}
    assert burns == {(*burn, "critical") for burn in critical} | {(*burn, "warning") for burn in warning}
