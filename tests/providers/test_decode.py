import json
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exporter.providers import decode as module
from exporter.providers.decode import decode
from exporter.providers.errors import BadResponse

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda each: st.lists(each, max_size=4) | st.dictionaries(st.text(max_size=5), each, max_size=4),
)


@pytest.fixture(autouse=True, scope="module", params=["at once", "in steps"])
def steps(request):
    """Each test is of small answers and of large ones; here all are small, or all are large."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "in steps":
            patch.setattr(module, "LARGE", -1)
            patch.setattr(module, "PIECE", 2)
        yield


@given(VALUES)
def test_what_python_writes_comes_back(value):
    assert decode(json.dumps(value).encode()) == value


@pytest.mark.parametrize("space", [b"", b" \r\n\t"])
def test_bare_nan_and_infinity_are_numbers_as_python_writes_them(space):
    answer = decode(space + b'{"response": [{"latency": NaN, "views": Infinity, "errors": -Infinity, "attempts": 7}]}')
    [row] = answer["response"]
    assert math.isnan(row["latency"])
    assert (row["views"], row["errors"], row["attempts"]) == (math.inf, -math.inf, 7)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"12345678901234567890123456789", 12345678901234567890123456789),
        (b"1e999", math.inf),
        (b'"\\ud800"', "\ud800"),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
    ],
    ids=["a very long integer", "a number without end", "half a surrogate", "a byte order mark", "a key twice"],
)
def test_what_is_unusual_but_json_is_read(body, value):
    assert decode(body) == value


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "empty"),
        (b" \n\t", "empty"),
        (b"<!DOCTYPE html><html><body>Bad Gateway</body></html>", "HTML"),
        (b"\n  <html>", "HTML"),
        (b"upstream connect error", "22 bytes"),
        (b'{"response": [', "14 bytes"),
        (b'{"response": []} trailing', "25 bytes"),
        (b'{"a": "\xff\xfe"}', "11 bytes"),
        (b"\x1f\x8b\x08\x00", "4 bytes"),
        (b"[" * 100_000, "nested too deep"),
        (b"9" * 5000, "5000 bytes"),
        (b"nan", "3 bytes"),
        (b"undefined", "9 bytes"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_is_no_json_is_a_bad_response_that_says_what_it_is(body, kind):
    with pytest.raises(BadResponse, match=kind):
        decode(body)


@given(st.binary())
def test_any_bytes_are_a_value_or_a_bad_response(body):
    try:
        decode(body)
    except BadResponse as error:
        assert "no JSON" in str(error)  # noqa: PT017 - either way is right


# --- Nesting ----------------------------------------------------------------------------------------------------------


def nested(levels, kind):
    start, end = {"lists": ("[", "]"), "objects": ('{"a":', "}"), "both": ('[{"a":', "}]")}[kind]
    count = levels // 2 if kind == "both" else levels
    return (start * count + ("" if kind == "lists" else "1") + end * count).encode()


@pytest.mark.parametrize("kind", ["lists", "objects", "both"])
@pytest.mark.parametrize("deepest", [2, 6, 32, 100])
def test_just_as_deep_as_admitted_is_read_and_one_level_more_is_not(kind, deepest):
    decode(nested(deepest, kind), deepest)
    for deeper in (deepest + 2, deepest + 50):
        with pytest.raises(BadResponse, match=f"deeper than `max_nesting` \\({deepest} levels\\)") as caught:
            decode(nested(deeper, kind), deepest)
        assert not caught.value.passing


@pytest.mark.parametrize("kind", ["lists", "objects"])
def test_32_levels_are_admitted_where_nobody_says_otherwise(kind):
    decode(nested(32, kind))
    with pytest.raises(BadResponse, match="32 levels"):
        decode(nested(33, kind))


def test_one_level_is_a_list_of_values():
    assert decode(b"[1, null]", 1) == [1, None]
    assert decode(b"7", 1) == 7
    with pytest.raises(BadResponse, match="1 levels"):
        decode(b"[[]]", 1)


@pytest.mark.parametrize("place", ["first", "last"])
def test_one_deep_value_among_many_flat_ones_is_found(place):
    rows = [{"cdn": str(number), "views": number} for number in range(1000)]
    deep = json.loads(nested(40, "lists"))
    rows[0 if place == "first" else -1]["views"] = deep
    with pytest.raises(BadResponse, match="max_nesting"):
        decode(json.dumps({"response": rows}).encode())


@pytest.mark.parametrize("with_nan", [False, True])
@pytest.mark.parametrize("kind", ["lists", "objects"])
@pytest.mark.parametrize("levels", [500, 900, 1100, 5000, 100_000])
def test_an_absurdly_deep_answer_is_a_bad_response_and_no_crash(levels, kind, with_nan):
    body = nested(levels, kind)
    with pytest.raises(BadResponse):
        decode(b"[NaN," + body + b"]" if with_nan else body)


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 100_000, b'[{"a":' * 100_000])
def test_an_absurdly_deep_answer_that_is_cut_is_a_bad_response(body):
    with pytest.raises(BadResponse):
        decode(body)


@given(VALUES, st.integers(1, 8))
def test_what_is_admitted_is_as_deep_as_python_counts(value, deepest):
    def depth(each):
        if not isinstance(each, list | dict):
            return 0
        return 1 + max(map(depth, each.values() if isinstance(each, dict) else each), default=0)

    body = json.dumps(value).encode()
    if depth(value) <= deepest:
        assert decode(body, deepest) == value
    else:
        with pytest.raises(BadResponse, match="max_nesting"):
            decode(body, deepest)


# --- Encodings --------------------------------------------------------------------------------------------------------

ROWS = {"response": [{"cdn": "Zürich ✓ 😀", "views": 7}]}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_each_encoding_of_unicode_is_recognised(encoding):
    assert decode(json.dumps(ROWS, ensure_ascii=False).encode(encoding)) == ROWS


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "cp037", "shift-jis", "utf-7"])
def test_any_other_encoding_is_read_without_a_wrong_letter_or_not_at_all(encoding):
    rows = {"response": [{"cdn": "Zürich", "views": 7}]}
    body = json.dumps(rows, ensure_ascii=False).encode(encoding, errors="ignore")
    try:
        found = decode(body)
    except BadResponse:
        return
    assert encoding in ("shift-jis", "utf-7")  # ASCII: the letter was lost, or spelled in ASCII, where it was written
    assert found["response"][0]["views"] == 7


def test_half_a_body_in_utf_16_is_a_bad_response():
    with pytest.raises(BadResponse):
        decode(json.dumps(ROWS).encode("utf-16")[:-3])


@given(st.dictionaries(st.text(max_size=5), st.lists(VALUES, max_size=7) | VALUES, max_size=4))
def test_rows_are_decoded_in_their_order_whatever_stands_beside_them(answer):
    found = decode(json.dumps(answer).encode())
    assert found == answer
    assert list(map(type, found.values())) == list(map(type, answer.values()))


TOKENS = ["{", "}", "[", "]", ",", ":", '"', '"a"', '"b"', "1", "}]", "},{", "[{", '{"a":1}', '"[{"', "\\", " "]


@given(st.lists(st.sampled_from(TOKENS), max_size=30).map("".join))
@example('{"n":"[{},{}]","r":[]}')
@example('{"r":[{"a":"},{"},{"a":1}],"n":"}]"}')
@example('{"r":[{"a":1}],"n":"}],","m":1}')
@example('{"r":[{"a":[{"b":1},{"b":2}]},{"a":1}]}')
@example('{"r":[{"a":1}],"r":["rows"]}')
def test_what_is_cut_at_guessed_places_is_what_it_is_as_a_whole(text):
    body = b'{"response":[{"a":1},%b,{"a":2}],"n":1}' % text.encode()
    for each in (text.encode(), body):
        try:
            found = module._in_steps(each, 8)
        except ValueError:
            continue
        assert found == json.loads(each)


def test_rows_are_decoded_some_at_a_time_where_there_are_many(monkeypatch):
    monkeypatch.setattr(module, "LARGE", 1000)
    monkeypatch.setattr(module, "PIECE", 100)
    stepped, in_steps = [], module._in_steps
    monkeypatch.setattr(module, "_in_steps", lambda *args: stepped.append(in_steps(*args)) or stepped[-1])
    many = {"totalrecords": 100, "response": [{"cdn": str(row), "of": [{"plays": row}]} for row in range(100)]}
    for answer in (many, {"totalrecords": 1, "response": many["response"][:1]}):
        for indent in (None, 2):
            assert decode(json.dumps(answer, indent=indent).encode()) == answer
    assert stepped == [many, many]


def test_an_answer_with_a_bare_nan_is_decoded_at_once(monkeypatch):
    monkeypatch.setattr(module, "LARGE", 1000)
    answer = {"response": [{"cdn": str(row), "plays": math.nan if row == 99 else row} for row in range(100)]}
    assert decode(json.dumps(answer).encode())["response"][:99] == answer["response"][:99]
