"""What mixtool and cloudflare's pint look for in rules, as plain tests; neither can be had from Go's proxy.

Written from pint's list of checks and mixtool's guidelines. Held elsewhere: ``promql/syntax``, ``yaml/parse`` and
``rule/duplicate`` by promtool, ``alerts/comparison``, ``alerts/annotation``, ``promql/rate`` and ``promql/counter`` in
test_expressions.py and test_committed.py. What pint asks a server (``promql/series``, ``promql/vector_matching``,
``labels/conflict``, ``rule/dependency``) is asked of a real Prometheus in tests/e2e, and the firing case of each alert
shows that none is a ``promql/impossible``. ``rule/owner``, ``rule/reject``, ``rule/link`` and ``query/cost`` are of a
company's own making, and off by default.
"""

import re

import promql_parser

# mixtool's `alert-summary-templating` and `alert-summary-style` (a sentence without values) are not followed: the
# summary is all that a phone shows of a page, so it begins with the source or the instance as they are spelled.
UNTEMPLATED = {"ExporterAbsent": "there is no label and no value: what is absent has none"}
"""Excluded from mixtool's `alert-description-templating`, and why."""

CAMEL_CASE = r"([A-Z]+[a-z0-9]+)+"
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
RETENTION = 15 * SECONDS["d"]
"""Prometheus' default."""


def walked(expression, kind):
    found = []
    promql_parser.walk(
        promql_parser.parse(expression), lambda node: found.append(node) if isinstance(node, kind) else None
    )
    return found


def seconds(duration):
    return sum(int(number) * SECONDS[unit] for number, unit in re.findall(r"(\d+)([smhdw])", duration))


def test_alert_name_camelcase(alerts):
    assert [rule["alert"] for rule in alerts if not re.fullmatch(CAMEL_CASE, rule["alert"])] == []


def test_alert_severity(alerts):
    assert {rule["labels"]["severity"] for rule in alerts} <= {"critical", "warning", "info"}


def test_alert_description_templating(alerts):
    plain = {rule["alert"] for rule in alerts if "{{" not in rule["annotations"]["description"]}
    assert plain == UNTEMPLATED.keys()


def test_rule_name(committed):
    """`level:metric:operations`, as Prometheus recommends."""
    records = {rule["record"] for rule in committed if "record" in rule}
    assert [name for name in records if not re.fullmatch(r"source\w*:\w+:\w+", name)] == []


def test_rule_duplicate(committed):
    named = [(rule.get("record") or rule["alert"], str(rule["labels"])) for rule in committed]
    assert len(named) == len(set(named))


def test_alerts_for(alerts):
    for rule in alerts:
        assert 60 <= seconds(rule["for"]) <= seconds("3h"), rule["alert"]


def test_alerts_absent(alerts):
    """Between two scrapes, or while Prometheus starts, nothing is there: only for how long tells."""
    found = [rule for rule in alerts if "absent(" in rule["expr"]]
    assert found
    assert all(seconds(rule["for"]) >= 120 for rule in found)


def test_alerts_template_has_no_value_in_labels(alerts):
    """Each value would be an alert of its own, and none would last for `for`."""
    assert [rule["alert"] for rule in alerts if "$" in str(rule["labels"])] == []


def keeps(expression, label):
    """Whether what an expression gives can have a label: aggregations drop all but those that they name."""
    match expression:
        case promql_parser.AggregateExpr():
            return label in expression.modifier.labels
        case promql_parser.BinaryExpr() if str(expression.op) == "or":
            return keeps(expression.lhs, label) and keeps(expression.rhs, label)
        case promql_parser.BinaryExpr():
            return keeps(expression.rhs if str(expression.lhs) == "time()" else expression.lhs, label)
        case promql_parser.ParenExpr():
            return keeps(expression.expr, label)
        case promql_parser.Call():
            return expression.func.name != "absent"
    return True


def test_alerts_template_uses_labels_that_aggregations_keep(alerts):
    for rule in alerts:
        parsed = promql_parser.parse(rule["expr"])
        for label in re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())):
            assert keeps(parsed, label), (rule["alert"], label)


def test_a_label_that_is_summed_away_is_seen():
    parsed = promql_parser.parse("(sum by (source) (a) > 0 or max by (source, query) (b)) and on (source) c == 0")
    assert (keeps(parsed, "source"), keeps(parsed, "query")) == (True, False)


def test_promql_fragile(committed):
    """Which series are the topmost changes each minute, and `without` keeps labels that are added later."""
    for rule in committed:
        for node in walked(rule["expr"], promql_parser.AggregateExpr):
            assert str(node.op) not in {"topk", "bottomk", "limitk", "quantile"}, rule
            assert node.modifier is None or node.modifier.type != promql_parser.AggModifierType.Without, rule


def test_promql_regexp(committed):
    """Prometheus anchors patterns itself, and a pattern without any is an equality."""
    for rule in committed:
        for node in walked(rule["expr"], promql_parser.VectorSelector):
            for matcher in node.matchers.matchers:
                if matcher.op in (promql_parser.MatchOp.Re, promql_parser.MatchOp.NotRe):
                    assert re.search(r"[|.*+?\[(]", matcher.value), rule
                    assert not re.search(r"^\^|\$$", matcher.value), rule


def test_promql_range_query(committed):
    """What is looked back to must still be there."""
    for rule in committed:
        for duration in re.findall(r"\[(\w+)\]|offset (\w+)", rule["expr"]):
            assert seconds("".join(duration)) <= RETENTION, rule


def test_promql_selector(committed):
    """Whoever scrapes names the job as they like."""
    for rule in committed:
        for node in walked(rule["expr"], promql_parser.VectorSelector):
            assert not {matcher.name for matcher in node.matchers.matchers} & {"job", "instance"}, rule
