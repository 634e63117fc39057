"""From a dashboard as values to Grafana's JSON, by its own SDK."""

import json
import warnings
from collections.abc import Callable, Mapping
from typing import Any

with warnings.catch_warnings():
    # The classic schema, which every Grafana in use can import, is the old one to the SDK.
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana_foundation_sdk.builders import (
        bargauge,
        common,
        dashboard,
        prometheus,
        stat,
        table,
        timeseries,
    )
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.models import common as common_models
    from grafana_foundation_sdk.models import dashboard as models
    from grafana_foundation_sdk.models import table as table_models
    from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from exporter.dashboards.advice import words
from exporter.dashboards.offer import any_of, labels_of, matchers, variable
from exporter.dashboards.panels import OWN
from exporter.dashboards.spec import TAG, Board, Choice, Panel, Steps, Target

SOURCE = common_models.DataSourceRef(type_val="prometheus", uid="${datasource}")
ALL = models.VariableOption(text="All", value="$__all", selected=True)
PanelBuilder = bargauge.Panel | stat.Panel | table.Panel | timeseries.Panel


def render(board: Board) -> str:
    """Give a dashboard as the text of its file."""
    return json.dumps(_finished(_dashboard(board).build()), cls=JSONEncoder, indent=2, ensure_ascii=False) + "\n"


def _finished(built: models.Dashboard) -> models.Dashboard:
    """Give each panel an id of its own, which Grafana's links to panels need and the SDK leaves out.

    What only other kinds of variables have, and Grafana's schema no more, goes: the SDK puts it into each.
    """
    for number, panel in enumerate(built.panels or (), 1):
        panel.id_val = number
        if isinstance(panel, models.Panel) and isinstance(panel.options, table_models.Options):
            panel.options.footer = None
    for each in built.templating.list_val or ():
        each.auto = each.auto_min = each.auto_count = None
    return built


def _dashboard(board: Board) -> dashboard.Dashboard:
    built = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.question)
        .tags([TAG])
        .readonly()
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .refresh("1m")
        .time(board.span, "now")
        .timezone("browser")
        .version(1)
        .link(
            dashboard.DashboardLink("Video analytics")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(as_dropdown=True)
            .include_vars(include_vars=True)
            .keep_time(keep_time=True)
        )
    )
    for each in _variables(board):
        built.with_variable(each)
    for row in board.rows:
        panels = [panel for panel in row.panels if panel]
        if panels:
            built.with_row(dashboard.Row(row.title))
        for panel in panels:
            built.with_panel(_panel(panel))
    return built


def _every(board: Board) -> str:
    """Say what all jobs and instances are: also none, which a past that was fetched by ``backfill`` has.

    What is delivered all the time is of other lengths and times than the gauges of its query, and not mixed with them.
    """
    return ".+" if board.name == "health" or any(feed.delivered for feed in board.asked) else ".*"


def _variables(board: Board) -> list[Any]:
    hidden, every = board.name != "health", _every(board)
    chosen = matchers(extra=f"query=~{any_of(feed.name for feed in board.asked)}") if board.asked else matchers()
    scraped = 'job=~"$job", instance=~"$instance"'
    named = chosen.replace(', source=~"$source"', "") if board.asked else scraped
    return [
        dashboard.DatasourceVariable("datasource")
        .label("Data source")
        .type("prometheus")
        .current(models.VariableOption(text="default", value="default", selected=True)),
        _query("job", "Job", f"label_values({OWN}_build_info, job)", every=every, hidden=hidden),
        _query(
            "instance",
            "Instance",
            f'label_values({OWN}_build_info{{job=~"$job"}}, instance)',
            every=every,
            hidden=hidden,
        ),
        _query("source", "Source", f"label_values({OWN}_query_info{{{named}}}, source)"),
        *(_choice(each) for each in board.choices),
        *(
            # What is not there at all is matched by `.*` too: a label that only some of the queries have.
            _query(
                variable(label),
                _capital(words((label,))),
                f"label_values({{{matchers(extra=f'query=~{any_of(feed.name for feed in feeds)}')}}}, {label})",
            )
            for label, feeds in labels_of(board.asked)
        ),
    ]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _query(name: str, label: str, query: str, *, every: str = ".*", hidden: bool = False) -> dashboard.QueryVariable:
    """Make a variable of which all, several or one value may be chosen."""
    return (
        _given(name, label, query)
        .multi(multi=True)
        .include_all(include_all=True)
        .all_value(every)
        .current(ALL)
        .hide(models.VariableHide.HIDE_VARIABLE if hidden else models.VariableHide.DONT_HIDE)
    )


def _given(name: str, label: str, query: str) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(name)
        .label(label)
        .datasource(SOURCE)
        .query({"query": query, "refId": f"variable-{name}"})
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_CASE_INSENSITIVE_ASC)
    )


def _choice(choice: Choice) -> dashboard.QueryVariable | dashboard.CustomVariable:
    if choice.everything:
        return _query(choice.name, choice.label, choice.query)
    options = [
        models.VariableOption(text=option, value=option, selected=not number)
        for number, option in enumerate(choice.options)
    ]
    if choice.query:
        return _given(choice.name, choice.label, choice.query).current(options[0])
    listed = ",".join(option.replace(",", "\\,") for option in choice.options)
    return dashboard.CustomVariable(choice.name).label(choice.label).values(listed).options(options).current(options[0])


def _panel(panel: Panel) -> PanelBuilder:
    built = KINDS[panel.kind](panel)
    (
        built.title(panel.title)
        .description(panel.description)
        .datasource(SOURCE)
        .unit(panel.unit)
        .thresholds(_thresholds(panel.steps))
        .span(panel.width)
        .height(panel.height)
    )
    if panel.link:
        built.data_links([dashboard.DashboardLink(panel.link.title).url(panel.link.url)])
    for number, target in enumerate(panel.targets):
        built.with_target(_target(panel, target, chr(ord("A") + number)))
    return built


def _target(panel: Panel, target: Target, ref: str) -> prometheus.Dataquery:
    query = prometheus.Dataquery().expr(target.expr).ref_id(ref).datasource(SOURCE)
    if panel.kind == "timeseries":
        return query.range().legend_format(target.legend)
    query = query.instant()
    return query.format(PromQueryFormat.TABLE) if panel.kind == "table" else query.legend_format(target.legend)


def _thresholds(steps: Steps) -> dashboard.ThresholdsConfig:
    above = [models.Threshold(value=value, color=colour) for value, colour in steps.above]
    return (
        dashboard.ThresholdsConfig()
        .mode(models.ThresholdsMode.ABSOLUTE)
        .steps([models.Threshold(value=None, color=steps.base), *above])
    )


def _colour(panel: Panel) -> dashboard.FieldColor:
    """Colour a value by its thresholds where there are some."""
    mode = models.FieldColorModeId.THRESHOLDS if panel.steps.above else models.FieldColorModeId.FIXED
    return dashboard.FieldColor().mode(mode).fixed_color(panel.steps.base)


def _last() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"]).values(values=False)


def _stat(panel: Panel) -> stat.Panel:
    return (
        stat.Panel()
        .color_scheme(_colour(panel))
        .reduce_options(_last())
        .color_mode(common_models.BigValueColorMode.VALUE)
        .graph_mode(common_models.BigValueGraphMode.NONE)
        .text_mode(common_models.BigValueTextMode.AUTO)
        .no_value("no data")
    )


def _bargauge(panel: Panel) -> bargauge.Panel:
    return (
        bargauge.Panel()
        .color_scheme(_colour(panel))
        .reduce_options(_last())
        .orientation(common_models.VizOrientation.HORIZONTAL)
        .display_mode(common_models.BarGaugeDisplayMode.BASIC)
        .min(0)
    )


def _timeseries(panel: Panel) -> timeseries.Panel:
    lines = (
        common_models.GraphThresholdsStyleMode.DASHED
        if panel.steps.above
        else (common_models.GraphThresholdsStyleMode.OFF)
    )
    return (
        timeseries.Panel()
        .line_width(1)
        .fill_opacity(0)
        .show_points(common_models.VisibilityMode.AUTO)
        # A gap is a gap: nothing was known then.
        .span_nulls(span_nulls=False)
        .thresholds_style(common.GraphThresholdsStyleConfig().mode(lines))
        .tooltip(
            common.VizTooltipOptions()
            .mode(common_models.TooltipDisplayMode.MULTI)
            .sort(common_models.SortOrder.DESCENDING)
        )
        .legend(
            common.VizLegendOptions()
            .display_mode(common_models.LegendDisplayMode.TABLE)
            .placement(common_models.LegendPlacement.BOTTOM)
            .show_legend(show_legend=True)
            .calcs(["lastNotNull", "max"])
        )
    )


def _table(panel: Panel) -> table.Panel:
    built = (
        table.Panel()
        .show_header(show_header=True)
        .filterable(filterable=True)
        .cell_options(common_models.TableAutoCellOptions())
    )
    for identity, options in _steps_to_table(panel):
        built.with_transformation(models.DataTransformerConfig(id_val=identity, options=options))
    coloured = models.DynamicConfigValue(id_val="custom.cellOptions", value={"type": "color-text"})
    for target in panel.targets:
        if target.steps is None:
            continue
        properties = [
            models.DynamicConfigValue(id_val="unit", value=target.unit),
            models.DynamicConfigValue(id_val="thresholds", value=_thresholds(target.steps).build()),
            models.DynamicConfigValue(id_val="color", value=_colour_of(target.steps)),
            coloured,
        ]
        built.override_by_name(target.name, properties)
    return built


def _colour_of(steps: Steps) -> dict[str, str]:
    return {"mode": "thresholds"} if steps.above else {"mode": "fixed", "fixedColor": "text"}


def _steps_to_table(panel: Panel) -> list[tuple[str, dict[str, object]]]:
    if panel.matrix:
        fields = {"rowField": "row", "columnField": "column", "valueField": "Value"}
        return [("groupingToMatrix", {**fields, "emptyValue": "null"})]
    # One answer keeps the plain name of its value, several have theirs numbered by their letters.
    several = len(panel.targets) > 1
    names = {
        f"Value #{chr(ord('A') + number)}" if several else "Value": target.name or "Value"
        for number, target in enumerate(panel.targets)
    }
    hidden = dict.fromkeys(("Time", "__name__", "job", "instance"), True)
    return [("merge", {}), ("organize", {"excludeByName": hidden, "renameByName": names, "indexByName": {}})]


KINDS: Mapping[str, Callable[[Panel], PanelBuilder]] = {
    "stat": _stat,
    "bargauge": _bargauge,
    "timeseries": _timeseries,
    "table": _table,
}
