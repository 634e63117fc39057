"""What Grafana needs besides a right schema, and what an on-call person needs of each panel."""

import re
from itertools import combinations, pairwise
from urllib.parse import unquote

NAMES = {"overview", "startup", "playback", "explorer", "ads", "live", "ibm", "health"}


def test_it_is_found_again_and_linked_with_the_others(board):
    assert board["uid"].removeprefix("vae-") in NAMES
    assert board["description"].endswith(("?", "."))
    assert board["tags"] == ["video-analytics-exporter"]
    (link,) = board["links"]
    assert (link["type"], link["tags"], link["asDropdown"]) == ("dashboards", board["tags"], True)
    assert (link["includeVars"], link["keepTime"]) == (True, True)
    assert board["graphTooltip"] == 1


def test_ids_are_unique(board):
    ids = [panel["id"] for panel in board["panels"]]
    assert ids == sorted(set(ids))


def test_nothing_overlaps_or_leaves_the_grid(board):
    places = [panel["gridPos"] for panel in board["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert beside or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]


def test_every_panel_has_thresholds_that_rise(board, tools):
    for panel in tools.panels(board):
        steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        assert steps[0]["value"] is None
        values = [step["value"] for step in steps[1:]]
        assert values == sorted(set(values))


def test_every_description_says_what_is_asked_what_is_bad_and_what_is_done_then(board, tools):
    for panel in tools.panels(board):
        parts = r"(.+)\n\n\*\*Bad:\*\* (.+)\n\n\*\*Next:\*\* ([^\n]+)(\n\n.+)?"
        question, bad, after, _ = re.fullmatch(parts, panel["description"], re.DOTALL).groups()
        assert "?" in question, panel["title"]
        assert bad.endswith("."), panel["title"]
        assert after.endswith("."), panel["title"]


def test_every_row_has_panels_and_the_last_is_of_the_exporter(board):
    types = [panel["type"] for panel in board["panels"]]
    assert types[0] == "row"
    assert types[-1] != "row"
    assert ("row", "row") not in list(pairwise(types))
    rows = [panel["title"] for panel in board["panels"] if panel["type"] == "row"]
    assert board["uid"] == "vae-health" or rows[-1] == "Exporter health"


def test_titles_tell_panels_of_a_row_apart(board):
    row = []
    for panel in board["panels"]:
        row = [] if panel["type"] == "row" else [*row, panel["title"]]
        assert len(row) == len(set(row)), row


def test_ref_ids_are_unique(board, tools):
    for panel in tools.panels(board):
        refs = [target["refId"] for target in panel["targets"]]
        assert len(refs) == len(set(refs))


def test_now_is_asked_at_once_and_a_trend_over_time(board, tools):
    for panel, target in tools.targets(board):
        assert target["instant"] is (panel["type"] != "timeseries")
        assert target["range"] is (panel["type"] == "timeseries")


def test_links_lead_to_a_dashboard_and_to_variables_that_it_has(board, siblings, tools):
    for panel in tools.panels(board):
        for link in panel["fieldConfig"]["defaults"].get("links", ()):
            there = siblings[re.match(r"/d/([\w-]+)\?", link["url"])[1]]
            names = {variable["name"] for variable in there["templating"]["list"]}
            given = set(re.findall(r"[?&]var-(\w+)=", link["url"]))
            passed = set(re.findall(r"\$\{(\w+):queryparam\}", link["url"]))
            assert given | passed <= names
            assert passed <= {variable["name"] for variable in board["templating"]["list"]}
            # Grafana takes what is between `${` and the next `}`: nothing can stand within.
            assert not re.search(r"\$\{[^}]*\$", link["url"])
            for query in re.findall(r"var-query=([^&]+)", link["url"]):
                (choice,) = (each for each in there["templating"]["list"] if each["name"] == "query")
                assert unquote(query) in [option["value"] for option in choice["options"]]


def test_all_of_a_label_matches_what_has_none(board):
    for variable in board["templating"]["list"]:
        if variable.get("includeAll"):
            assert variable["current"]["value"] == "$__all"
            assert variable["allValue"] == ".*" or variable["name"] in ("job", "instance")


def test_boards_of_data_show_a_past_that_nobody_scraped_but_where_it_is_delivered_beside_the_gauges(tools):
    def alls(text):
        return {
            name: {each["allValue"] for each in board["templating"]["list"] if each["name"] in ("job", "instance")}
            for name, board in tools.made(text).items()
        }

    source = "sources: {mm: {type: smartsight, customer_id: 1, auth: {api_key: k}}}\n"
    query = "queries: [{name: q, source: mm, metrics: [latency, viewercount], dimensions: [cdn]%s}]\n"
    backfilled, scraped = {".*"}, {".+"}
    found = alls(source + query % "")
    assert found.pop("health.json") == scraped
    assert all(each == backfilled for each in found.values())
    receiver = 'remote_write: {url: "http://prometheus:9090/api/v1/write"}\n'
    delivered = alls(receiver + source + query % ", history: true")
    assert delivered.keys() > found.keys()
    assert all(each == scraped for each in delivered.values())


def test_every_variable_is_used(board):
    asked = " ".join(
        [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
        + [str(panel["datasource"]) for panel in board["panels"] if panel["type"] != "row"]
    )
    for variable in board["templating"]["list"]:
        assert re.search(rf"\$\{{?{variable['name']}\b", asked), variable["name"]
