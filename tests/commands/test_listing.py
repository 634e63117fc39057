"""What `catalog` prints: the facts of the catalogue, for a person and for a pipe."""

import io

import pytest
from click.testing import CliRunner
from rich.console import Console

from exporter import catalog
from exporter.cli import main
from exporter.commands.listing import show

CATALOGS = {name: catalog.load(name) for name in ("smartsight", "ibm_video")}


def printed(word="", **options):
    out = io.StringIO()
    found = show(CATALOGS, word, Console(file=out, **options))
    return found, out.getvalue()


def row(text, *cells):
    return any(all(cell in line for cell in cells) for line in text.splitlines())


@pytest.mark.parametrize("name", CATALOGS)
def test_every_metric_dimension_and_endpoint_is_there(name):
    _, text = printed()
    known = CATALOGS[name]
    for metric in (*known.known.values(), *known.counted.values()):
        assert metric.statistic or row(text, name, f" {metric.field} ", f" {metric.family} ", metric.help)
    for dimension in (*known.dimensions, *known.personal):
        assert row(text, name, dimension)
    for endpoint in known.endpoints.values():
        assert row(text, name, endpoint.name, endpoint.help)


@pytest.mark.parametrize(
    ("word", "cells"),
    [
        ("bufferingratio", ("bufferingratio", "smartsight_buffering_ratio", "0.01", "metricquery, listsessions")),
        ("P95_LATENCY", ("p95_latency", "smartsight_startup_time_p95_seconds", "metricquery, error")),
        ("alerts", ("alerts", "password", "How many alerts")),
        ("qbrdata", ("qbrdata", "password", "deprecated, ask metricquery")),
        ("listsessions", ("listsessions", " key ", "distributions")),
        ("peak", ("peak_viewers", "ibm_video_peak_viewers", "peak-viewer-numbers")),
        ("ipaddress", ("ipaddress", "allow_personal_data")),
        ("content_id", ("ibm_video", "content_id", "peak-viewer-numbers, viewer-seconds, views")),
    ],
)
def test_a_word_finds_what_matches_it_and_nothing_else(word, cells):
    found, text = printed(word)
    assert found
    assert row(text, *cells)
    heads = ("Metrics", "Dimensions", "Endpoints", "source type", "")
    assert all(
        word.lower() in line.lower()
        for line in text.splitlines()
        if not line.strip().startswith(heads[:4]) and line.strip()
    )


def test_in_a_pipe_no_line_is_wrapped_or_coloured():
    _, text = printed(force_terminal=False)
    assert "\x1b" not in text
    assert row(text, "smartsight_connection_induced_rebuffering_ratio", "caused by the connection")


def test_on_a_terminal_it_fits_the_screen():
    _, text = printed("latency", force_terminal=True, width=100, color_system=None)
    assert max(map(len, text.splitlines())) <= 100


def test_the_command_says_when_nothing_matches():
    result = CliRunner().invoke(main, ["catalog", "nosuchthing"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "nothing in the catalogue matches `nosuchthing`" in result.stderr
    assert CliRunner().invoke(main, ["catalog", "latency"]).exit_code == 0
