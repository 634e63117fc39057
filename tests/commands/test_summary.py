import io

from rich.console import Console

from exporter.commands import summary
from exporter.config import load


def test_the_headline_counts_names_not_sources(configured):
    assert summary.headline(configured("name: q, source: [mm, old], metrics: [x]")) == "3 sources, 1 query, no errors"


def test_a_history_that_is_delivered_needs_a_place_for_how_far_it_is():
    text = """
sources: {mm: {type: smartsight, customer_id: 7, auth: {api_key: k}}}
queries: [{name: q, source: mm, metrics: [viewercount], history: true}]
remote_write: {url: "http://p/api/v1/write"}
"""
    said = "1 source, 1 query, no errors; `history: true` needs `run --storage.path DIR`"
    assert summary.headline(load(text, name="c.yaml", env={})) == said


def test_each_source_with_its_type_login_and_queries_and_what_could_be_better(configured):
    config = configured(
        "name: a, source: [mm, old], metrics: [x]", "name: b, source: old, endpoint: session, metrics: [x]"
    )
    out = io.StringIO()
    summary.show(config, 0.0, Console(file=out, force_terminal=False))
    lines = out.getvalue().splitlines()
    rows = {line.split()[0]: line.split() for line in lines[2:5]}
    assert [(name, row[1], row[2], row[-1]) for name, row in rows.items()] == [
        ("mm", "smartsight", "API", "1"),
        ("old", "smartsight", "user", "2"),
        ("ibm", "ibm_video", "client", "0"),
    ]
    assert lines[6] == "1 warning"
    assert lines[7].startswith("old: `b` could be better: ")
    assert "CANARY" not in out.getvalue()
