"""The rules of Grafana's dashboard-linter and of mixtool, which runs it, as plain tests.

Neither can be had from Go's proxy; these hold everywhere, for each panel type and not only for those that the linter
looks at. Written from its documentation (docs/index.md, 17 rules). Two of them have nothing to look at here:
target-logql-rule and target-logql-auto-rule are about Loki, and no panel asks it.
"""

import re

import promql_parser
import pytest

UNITS = {"short", "s", "percentunit", "bytes", "reqps", "dateTimeFromNow"}
"""Those of the linter's list that are used here."""

OF_A_SPAN = {
    "Requests a day": "a day is what vendors bill by",
    "Queries": "counts of the period that is shown, as the stat panels of other dashboards",
}
"""Panels that are excluded from target-rate-interval-rule, and why."""

# template-job-rule and template-instance-rule want `.+` for all; `.*` shows what has neither label too, for `backfill`
# has none to give. The health board, and boards of what is delivered beside its gauges, follow the rules.
EVERY = {".+", ".*"}

SOURCES = {"$datasource", "${datasource}"}


def variables(board, kind="query"):
    return [variable for variable in board["templating"]["list"] if variable["type"] == kind]


def selectors(expr):
    found = []
    promql_parser.walk(
        expr, lambda node: found.append(node) if isinstance(node, promql_parser.VectorSelector) else None
    )
    return found


def test_template_datasource(board):
    (source,) = variables(board, "datasource")
    assert (source["name"], source["label"], source["query"]) == ("datasource", "Data source", "prometheus")


@pytest.mark.parametrize("name", ["job", "instance"])
def test_template_job_and_instance(board, name):
    (variable,) = (each for each in variables(board) if each["name"] == name)
    assert variable["datasource"]["uid"] in SOURCES
    assert variable["label"] == name.title()
    assert variable["multi"]
    assert variable["allValue"] in EVERY


def test_template_label_promql(board, tools):
    for variable in variables(board):
        function, asked, _ = re.fullmatch(r"([a-z_]+)\((.+), (\w+)\)", variable["query"]["query"]).groups()
        assert function == "label_values"
        promql_parser.parse(tools.fill(asked, board))


def test_template_on_time_change_reload(board):
    assert {variable["refresh"] for variable in variables(board)} == {2}


def test_panel_datasource(board, tools):
    for panel in tools.panels(board):
        assert panel["datasource"]["uid"] in SOURCES
        assert {target["datasource"]["uid"] for target in panel["targets"]} <= SOURCES


def test_panel_title_and_description(board, tools):
    assert [panel["title"] for panel in tools.panels(board) if not (panel["title"] and panel["description"])] == []


def test_panel_units(board, tools):
    for panel in tools.panels(board):
        overridden = [
            one["value"]
            for override in panel["fieldConfig"].get("overrides", ())
            for one in override["properties"]
            if one["id"] == "unit"
        ]
        assert {panel["fieldConfig"]["defaults"]["unit"], *overridden} <= UNITS, panel["title"]


def test_panel_no_targets(board, tools):
    assert [panel["title"] for panel in tools.panels(board) if not panel["targets"]] == []


def test_target_promql(board, tools):
    for _, target in tools.targets(board):
        promql_parser.parse(tools.fill(target["expr"], board))


def test_target_rate_interval(board, tools):
    for panel, target in tools.targets(board):
        spans = set(re.findall(r"\b(?:i?rate|increase)\([^[]*\[([^\]]+)\]", target["expr"]))
        assert spans <= {"$__rate_interval"} or panel["title"] in OF_A_SPAN, panel["title"]


@pytest.mark.parametrize("label", ["job", "instance"])
def test_target_job_and_instance(board, tools, label):
    for _, target in tools.targets(board):
        # As the linter does, the variables of matchers stay as they are: they stand between quotes.
        expr = re.sub(r"\$(row|column)\b(?!\")|\$__(rate_interval|range)", "5m", target["expr"])
        for selector in selectors(promql_parser.parse(expr)):
            matchers = [(each.op, each.value) for each in selector.matchers.matchers if each.name == label]
            assert matchers == [(promql_parser.MatchOp.Re, f"${label}")], target["expr"]


def test_target_counter_agg(board, tools):
    for _, target in tools.targets(board):
        for before in re.findall(r"(\w+\()?\w+_total\{", target["expr"]):
            assert before in ("rate(", "irate(", "increase("), target["expr"]


def test_uneditable_dashboard(board):
    assert board["editable"] is False


def test_mixtool_title_and_uid(board):
    assert board["title"]
    assert board["uid"]
