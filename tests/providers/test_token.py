import json
import math

import pytest

from exporter.providers import token
from exporter.providers.decode import SHORT
from exporter.providers.errors import AuthError, BadResponse, ServerError, VendorError

NOW = 1000.0
YEARS = 10 * 365 * 86400


def body(**answer):
    return json.dumps({"access_token": "t0ken", "token_type": "Bearer", **answer}).encode()


@pytest.mark.parametrize(
    ("life", "lives", "good_for"),
    [
        (86400, 86400, 86340),
        (300, 300, 270),
        (0.5, 0.5, 0.45),
        *((life, 3600, 3540) for life in (None, 0, -5, -(10**400), "soon", "300", [], {}, True, False)),
        *((life, 3600, 3540) for life in (math.inf, -math.inf, math.nan)),
        *((life, YEARS, YEARS - 60) for life in (YEARS, YEARS + 1, 1e300, 2**63 - 1, 10**400)),
    ],
)
def test_a_token_is_renewed_a_minute_or_a_tenth_of_its_life_before_its_end(life, lives, good_for):
    found = token.read(200, body(expires_in=life), NOW)
    assert (found.access, found.life, found.renew_at) == ("t0ken", lives, NOW + good_for)


def test_a_refresh_token_is_good_for_as_long_as_it_says():
    found = token.read(200, body(expires_in=300, refresh_token="refr3sh", refresh_expires_in=1800), NOW)
    assert (found.refresh, found.refresh_until) == ("refr3sh", NOW + 1740)


@pytest.mark.parametrize("life", [1e300, 10**400, math.inf, math.nan, -1, "soon"])
def test_a_refresh_token_s_odd_life_is_one_that_can_be_told(life):
    found = token.read(200, body(refresh_token="refr3sh", refresh_expires_in=life), NOW)
    assert NOW < found.refresh_until <= NOW + YEARS


@pytest.mark.parametrize("refresh", [None, 7, [], {}, "", "a\nb", "ü", "\ud800"])
def test_what_is_no_refresh_token_is_none(refresh):
    assert token.read(200, body(refresh_token=refresh), NOW).refresh == ""


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429])
def test_any_4xx_is_a_refused_login_told_in_the_server_s_words(status):
    answer = json.dumps({"error": "invalid_grant", "error_description": "Invalid user credentials"}).encode()
    with pytest.raises(AuthError, match=f"HTTP {status}: invalid_grant: Invalid user credentials$"):
        token.read(status, answer, NOW)
    assert token.refused(status)


@pytest.mark.parametrize(("status", "kind"), [(500, ServerError), (503, ServerError), (302, BadResponse)])
def test_what_failed_in_another_way_is_no_refusal(status, kind):
    with pytest.raises(VendorError) as caught:
        token.read(status, b"<html>", NOW)
    assert caught.type is kind
    assert str(caught.value) == f"the log-in was answered with HTTP {status}"
    assert not token.refused(status)


def test_a_success_is_no_refusal():
    assert not token.refused(200)


@pytest.mark.parametrize(
    "answer", [b"", b"<html>", b"[]", b"null", b"7", b"{}", *(body(access_token=x) for x in (None, "", 7, "a\nb", "ü"))]
)
def test_an_answer_without_a_token_that_can_be_sent_is_a_bad_response(answer):
    with pytest.raises(BadResponse, match="log-in"):
        token.read(200, answer, NOW)


def test_an_answer_that_is_too_long_for_a_token_is_not_decoded():
    with pytest.raises(
        BadResponse, match=rf"^the log-in: the answer has \d+ bytes, and this kind has {SHORT} at most$"
    ):
        token.read(200, body(more="x" * SHORT), NOW)
    fitting = body(more="x" * (SHORT - len(body(more=""))))
    assert len(fitting) == SHORT
    assert token.read(200, fitting, NOW).access == "t0ken"


def test_an_error_that_is_too_long_is_told_without_its_words():
    answer = json.dumps({"error": "invalid_grant", "more": "x" * SHORT}).encode()
    with pytest.raises(AuthError, match=r"HTTP 400$"):
        token.read(400, answer, NOW)


def test_no_token_shows_in_its_repr():
    found = token.read(200, body(refresh_token="refr3sh"), NOW)
    assert "t0ken" not in repr(found)
    assert "refr3sh" not in repr(found)
