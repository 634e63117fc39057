import io

import pytest
from rich.console import Console

from exporter.commands import tables

HEADS = ("cdn", "plays")
ROWS = [("Akamai", "1685"), ("[red]x[/red] :smile:", "7"), ("a" * 300, "12")]


def printed(*arguments, color_system="standard", width=80, terminal=False, **more):
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=width, color_system=color_system)
    tables.show(*arguments, console=console, **more)
    return out.getvalue()


def test_in_a_pipe_a_row_is_one_line_without_colour_boxes_or_cuts():
    text = printed("Title", HEADS, ROWS, right=("plays",))
    assert text.splitlines() == [
        "Title",
        "cdn" + " " * 297 + "  plays",
        "Akamai" + " " * 294 + "   1685",
        "[red]x[/red] :smile:" + " " * 280 + "      7",
        "a" * 300 + "     12",
        "",
    ]


def test_in_a_pipe_nothing_trails_a_line_and_a_title_may_be_left_out():
    assert printed("", ("a", "b"), [("long text", ""), ("x", "y")]) == "a          b\nlong text\nx          y\n\n"


def test_wide_characters_take_two_columns():
    assert printed("", ("a", "b"), [("日本", "x"), ("abcd", "y")]).splitlines()[1:3] == ["日本  x", "abcd  y"]


def test_on_a_terminal_whole_values_are_folded_and_heads_stand_out():
    text = printed("Title", HEADS, ROWS, terminal=True, color_system=None, width=60)
    assert max(map(len, text.splitlines())) <= 60
    assert text.count("a") >= 300
    assert "[red]x[/red] :smile:" in text
    assert "\x1b[1m" in printed("Title", HEADS, ROWS, terminal=True)


@pytest.mark.parametrize("terminal", [True, False])
def test_what_would_steer_a_terminal_is_escaped(terminal):
    text = printed("", ("a",), [("x\x1b[2Jy\nz\u202e",)], terminal=terminal, color_system=None)
    assert r"x\x1b[2Jy\nz\u202e" in text


def test_no_color_is_obeyed(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    text = printed("Title", HEADS, ROWS, terminal=True)
    assert [code for code in range(30, 50) if f"\x1b[{code}m" in text or f";{code}m" in text] == []


@pytest.mark.parametrize(
    ("number", "one", "words"),
    [(1, "query", "1 query"), (2, "query", "2 queries"), (0, "source", "0 sources"), (1, "row", "1 row")],
)
def test_counts(number, one, words):
    assert tables.count(number, one) == words
