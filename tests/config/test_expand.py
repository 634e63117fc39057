import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config.expand import expand

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)


def expanded(text, **env):
    """Expand a text that has no fault."""
    found = []
    result = expand(text, env, found.append)
    assert found == []
    return result


def faults(data, **env):
    found = []
    expand(data, env, found.append)
    return found


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("${A}", "a"),
        ("x${A}y${A}", "xaya"),
        ("${A}${_B9}", "ab"),
        ("${A:-d}", "a"),
        ("${EMPTY}", ""),
        ("${EMPTY:-d}", "d"),
        ("${NONE:-}", ""),
        ("${NONE:-a default, with: {signs}", "a default, with: {signs"),
        ("${NONE:-https://host:1/path}", "https://host:1/path"),
        ("${NONE:-a:-b}", "a:-b"),
        ("$$", "$"),
        ("$$$$", "$$"),
        ("$${A}", "${A}"),
        ("$$${A}", "$a"),
        ("$A $ 5$ $( {A}", "$A $ 5$ $( {A}"),
    ],
)
def test_references_are_replaced(text, result):
    assert expanded(text, A="a", _B9="b", EMPTY="") == result


def test_all_texts_of_the_data_are_expanded_and_nothing_else():
    data = {"a": ["${A}", {"b": "x${A}"}], "n": 1, "f": 1.5, "t": True, "none": None}
    assert expanded(data, A="1") == {"a": ["1", {"b": "x1"}], "n": 1, "f": 1.5, "t": True, "none": None}


@given(NAMES, st.text())
def test_a_variable_is_taken_as_it_is(name, value):
    assert expanded(f"<${{{name}}}>", **{name: value}) == f"<{value}>"


@given(st.text())
def test_a_text_with_its_dollars_doubled_is_itself(text):
    assert expanded(text.replace("$", "$$")) == text


@given(st.text(alphabet="${}AB:-x "))
def test_any_text_is_expanded_or_reported(text):
    assert isinstance(expand(text, {"A": "1"}, lambda _: None), str)


def test_a_missing_variable_is_reported_where_it_stands():
    (fault,) = faults({"a": ["x", "${NOT_THERE}"]})
    assert fault.path == ("a", 1)
    assert "NOT_THERE is not set" in fault.message


def test_each_missing_variable_of_a_text_is_reported():
    found = " ".join(fault.message for fault in faults("${ONE} ${TWO}"))
    assert "ONE" in found
    assert "TWO" in found


@pytest.mark.parametrize(
    "text", ["${", "${}", "${1A}", "${A", "${A-B}", "${A:B}", "${A B}", "${ A }", "${Ä}", "a${-x}"]
)
def test_what_looks_like_a_reference_and_is_none_is_reported(text):
    (fault,) = faults({"key": text}, A="a")
    assert fault.path == ("key",)
    assert "no reference" in fault.message


def test_a_default_never_leaves_half_a_reference_behind():
    text, found = "${A:-${B}}", []
    result = expand(text, {"B": "b"}, found.append)
    assert result == "b" or found


def test_two_dollars_in_a_default_are_one():
    assert expanded("${NONE:-a$$b}") == "a$b"


def test_a_report_never_shows_the_text_or_a_value():
    found = faults("CANARY-text ${A} ${NONE} ${ no", A="CANARY-value")
    assert len(found) == 2
    assert not any("CANARY" in fault.message for fault in found)
