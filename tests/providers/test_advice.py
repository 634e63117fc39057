import time
from datetime import UTC, datetime
from email.utils import format_datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.providers.advice import LONGEST, MISTAKEN, Advice, advice

NOW = 1_775_764_800.0


def date(seconds):
    return format_datetime(datetime.fromtimestamp(seconds, UTC), usegmt=True)


def found(status, headers, now=NOW):
    return advice(status, httpx.Headers(headers), now)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
@pytest.mark.parametrize(
    ("after", "wait"),
    [
        ("7", 7),
        ("0.5", 0.5),
        (" 7 ", 7),
        (date(NOW + 90), 90),
        ("0", None),
        ("-5", None),
        (date(NOW - 90), None),
        ("Thu, 09 Apr 2026 21:01:00 +0100", 60),
        (date(NOW), None),
        ("", None),
        ("soon", None),
        ("NaN", None),
        ("inf", None),
        ("-inf", None),
        ("7, 8", None),
        ("1e300", MISTAKEN),
        ("9" * 400, None),
        (str(int(NOW * 1000)), MISTAKEN),
        ("Fri, 31 Dec 9999 23:59:59 GMT", MISTAKEN),
        ("Fri, 31 Dec 99999 23:59:59 GMT", None),
        ("Thu, 32 Foo 2026 25:61:61 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_nothing_absurd(status, after, wait):
    assert found(status, {"retry-after": after}) == Advice(wait)


@pytest.mark.parametrize("status", [200, 204, 301, 400, 401, 403, 404, 422])
def test_retry_after_of_any_other_answer_means_nothing(status):
    assert found(status, {"retry-after": "7"}) == Advice()


@pytest.mark.parametrize("error", [-3600, -1, 0, 1, 3600, 10**8])
def test_dates_are_read_by_the_vendor_s_clock_where_it_tells_it(error):
    headers = {"date": date(NOW + error), "retry-after": date(NOW + error + 40)}
    assert found(503, headers) == Advice(40)
    reset = {"date": date(NOW + error), "x-ratelimit-remaining": "0", "x-ratelimit-reset": str(NOW + error + 40)}
    assert found(200, reset) == Advice(40, 0)


@pytest.mark.parametrize("junk", ["", "yesterday", "0", "Thu, 99 Jan 1970"])
def test_a_vendor_s_clock_that_can_t_be_read_is_not_used(junk):
    assert found(503, {"date": junk, "retry-after": date(NOW + 40)}) == Advice(40)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York"])
@pytest.mark.parametrize(
    "text",
    [
        "Thu, 09 Apr 2026 20:01:00 GMT",
        "Thursday, 09-Apr-26 20:01:00 GMT",
        "Thu Apr  9 20:01:00 2026",
        "Thu, 09 Apr 2026 20:01:00 -0000",
    ],
)
def test_all_three_forms_of_a_date_are_utc_wherever_the_exporter_runs(monkeypatch, zone, text):
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert found(503, {"retry-after": text}) == Advice(60)
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (200, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(NOW + 30)}, Advice(30, 0)),
        (200, {"X-RATELIMIT-REMAINING": "0", "X-RateLimit-Reset": str(NOW + 30)}, Advice(30, 0)),
        (200, {"x-ratelimit-remaining": "1", "x-ratelimit-reset": str(NOW + 30)}, Advice(None, 1)),
        (200, {"x-ratelimit-remaining": "0"}, Advice(None, 0)),
        (200, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(NOW - 30)}, Advice(None, 0)),
        (200, {"x-ratelimit-remaining": "-1", "x-ratelimit-reset": str(NOW + 30)}, Advice()),
        (200, {"x-ratelimit-remaining": "NaN", "x-ratelimit-reset": str(NOW + 30)}, Advice()),
        (429, {"x-ratelimit-reset": str(NOW + 30)}, Advice(30)),
        (200, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(NOW + 36_000)}, Advice(36_000, 0)),
        (429, {"retry-after": str(LONGEST)}, Advice(LONGEST)),
        (429, {"retry-after": str(LONGEST + 1)}, Advice(MISTAKEN)),
        (429, {"x-ratelimit-reset": str(NOW * 1000)}, Advice(MISTAKEN)),
        (429, {"x-ratelimit-reset": "1e300"}, Advice(MISTAKEN)),
        (429, {"x-ratelimit-reset": "NaN"}, Advice()),
        (429, {"x-ratelimit-reset": "-1"}, Advice()),
        (500, {"x-ratelimit-reset": str(NOW + 30)}, Advice()),
        (429, {"RETRY-AFTER": "10", "x-ratelimit-reset": str(NOW + 30)}, Advice(30)),
        (429, {"retry-after": "50", "x-ratelimit-reset": str(NOW + 30)}, Advice(50)),
        (429, {"retry-after": "-50", "x-ratelimit-reset": str(NOW + 30)}, Advice(30)),
    ],
)
def test_what_the_rate_limit_s_headers_say(status, headers, expected):
    assert found(status, headers) == expected


PARTS = ["Thu,", "09", "Apr", "2026", "20:00:00", "GMT", "-0000", "+9999", "99999999999", "(", "::", "Feb", "30", "1e9"]
texts = st.text(st.characters(max_codepoint=255)) | st.lists(st.sampled_from(PARTS), max_size=8).map(" ".join)


@given(
    status=st.integers(100, 999),
    headers=st.fixed_dictionaries(
        {}, optional=dict.fromkeys(["date", "retry-after", "x-ratelimit-reset", "x-ratelimit-remaining"], texts)
    ),
    now=st.floats(0, 1e12),
)
def test_whatever_the_headers_say_a_wait_is_positive_and_has_an_end(status, headers, now):
    said = advice(status, headers, now)
    assert said.wait is None or 0 < said.wait <= LONGEST
    assert said.remaining is None or said.remaining >= 0
