import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.providers.decode import decode
from exporter.providers.errors import BadResponse

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda each: st.lists(each, max_size=4) | st.dictionaries(st.text(max_size=5), each, max_size=4),
)


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
        (b"[" * 100_000, "100000 bytes"),
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
