import pytest

from exporter.providers import errors
from exporter.providers.errors import from_status

REASONS = {"auth", "rate_limited", "timeout", "network", "server_error", "bad_request", "bad_response"}


@pytest.mark.parametrize("status", range(200, 300))
def test_2xx_is_no_error(status):
    assert from_status(status) is None


@pytest.mark.parametrize("status", range(300, 600))
def test_every_other_status_has_the_contract_s_reason(status):
    expected = {401: "auth", 403: "auth", 429: "rate_limited"}.get(status) or (
        "bad_response" if status < 400 else "bad_request" if status < 500 else "server_error"
    )
    assert from_status(status).reason == expected


def test_each_error_has_a_reason_of_its_own_and_bug_is_none_of_them():
    kinds = errors.VendorError.__subclasses__()
    assert {kind.reason for kind in kinds} == REASONS
    assert len(kinds) == len(REASONS)
