import pytest

from exporter.simulator.smartsight_oauth import OLDER_PATH, TOKEN_PATH

EVENING = 1_775_764_800
PATH = "/mm-apis/session/199493832"
ASKED = {"planlevel": "2735", "period": f"start={EVENING},end={EVENING + 300}", "metrics": "latency"}
LOGIN = {
    "grant_type": "password",
    "username": "ops@example.com",
    "password": "pass",
    "client_id": "smartsight-backend",
    "scope": "openid",
}


async def test_a_log_in_gives_everything_that_keycloak_gives(keycloak, smartsight):
    status, body = await keycloak(**LOGIN)
    assert status == 201
    assert body.keys() == {
        *("access_token", "expires_in", "refresh_token", "refresh_expires_in", "token_type", "id_token"),
        *("not-before-policy", "session_state", "scope"),
    }
    assert (body["expires_in"], body["refresh_expires_in"], body["token_type"]) == (900, 1800, "Bearer")
    assert len({body["access_token"], body["refresh_token"], body["id_token"]}) == 3
    assert (smartsight.logins, smartsight.refreshes) == (1, 0)
    assert smartsight.answers[-1].params == LOGIN


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"password": "wrong"}, (401, "invalid_grant")),
        ({"username": "other"}, (401, "invalid_grant")),
        ({"client_id": "other"}, (401, "invalid_client")),
        ({"grant_type": "client_credentials"}, (400, "unsupported_grant_type")),
        ({"scope": "email"}, (400, "invalid_scope")),
        ({"grant_type": "refresh_token"}, (400, "invalid_request")),
        ({"grant_type": "refresh_token", "refresh_token": "unknown"}, (400, "invalid_grant")),
        *(({name: None}, (400, "invalid_request")) for name in LOGIN),
    ],
)
async def test_a_wrong_token_request_is_refused(keycloak, smartsight, fields, refusal):
    form = {name: value for name, value in {**LOGIN, **fields}.items() if value is not None}
    status, body = await keycloak(**form)
    assert (status, body["error"]) == refusal
    assert body["error_description"]
    assert (smartsight.logins, smartsight.refreshes, smartsight.tokens) == (0, 0, {})


async def test_credentials_belong_into_the_form(http):
    for given in ({"params": LOGIN}, {"json": LOGIN}):
        assert (await http.post(TOKEN_PATH, **given)).json()["error"] == "invalid_request"
    assert (await http.post(OLDER_PATH, params=LOGIN)).status_code == 422


async def test_nobody_logs_in_where_no_user_is(keycloak, smartsight):
    smartsight.username = smartsight.password = None
    assert (await keycloak(**LOGIN))[0] == 401
    assert (await keycloak(OLDER_PATH, **LOGIN))[0] == 401


async def test_an_access_token_expires_and_a_refresh_gives_a_new_one(keycloak, http, clock, smartsight):
    del http.headers["X-API-Key"]
    _, first = await keycloak(**LOGIN)

    async def asked_with(token):
        headers = {"Authorization": f"Bearer {token}"}
        return (await http.get(PATH, params=ASKED, headers=headers)).status_code

    refresh = {"grant_type": "refresh_token", "client_id": "smartsight-backend"}
    clock.now += 899
    assert await asked_with(first["access_token"]) == 200
    clock.now += 1
    assert await asked_with(first["access_token"]) == 401
    status, second = await keycloak(**refresh, refresh_token=first["refresh_token"])
    assert (status, smartsight.refreshes, smartsight.logins) == (200, 1, 1)
    assert await asked_with(second["access_token"]) == 200
    assert await asked_with(second["refresh_token"]) == 401
    clock.now += 900
    status, body = await keycloak(**refresh, refresh_token=first["refresh_token"])
    assert (status, body["error"]) == (400, "invalid_grant")
    assert (await keycloak(**refresh, refresh_token=second["refresh_token"]))[0] == 200
    clock.now += 1800
    assert (await keycloak(**refresh, refresh_token=second["refresh_token"]))[0] == 400


async def test_lives_can_be_chosen(keycloak, smartsight):
    smartsight.access_life, smartsight.refresh_life = 5, 7
    _, body = await keycloak(**LOGIN)
    assert (body["expires_in"], body["refresh_expires_in"]) == (5, 7)


async def test_the_older_endpoint_gives_a_long_token_alone(keycloak, http, clock):
    status, body = await keycloak(OLDER_PATH, username="ops@example.com", password="pass")
    assert (status, body["expires_in"], body.keys()) == (200, 18000, {"access_token", "expires_in", "token_type"})
    headers = {"Authorization": f"Bearer {body['access_token']}"}
    clock.now += 17999
    answer = await http.get(PATH, params=ASKED, headers=headers)
    assert answer.status_code == 200
    assert (await keycloak(OLDER_PATH, username="ops@example.com", password="wrong"))[0] == 401
    assert (await keycloak(OLDER_PATH, username="ops@example.com"))[0] == 422
