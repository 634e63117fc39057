import asyncio
import base64
from urllib.parse import parse_qsl

import httpx
import pytest

from exporter.model import Bounds
from exporter.providers.errors import AuthError, BadResponse, NetworkError, ServerError, TimedOut, VendorError
from exporter.simulator.ibm_video import IbmVideo as Simulated
from exporter.simulator.smartsight import SmartSight as SimulatedSmartSight

BODY = b'{"data": []}'
SECRET = "s3cret-of-ibm"
DAY = 86400


async def whole(body):
    """Read an answer as it is."""
    return body


def token(name="t0ken-1", **more):
    return httpx.Response(200, json={"access_token": name, "token_type": "jwt", "expires_in": DAY} | more)


class Ibm:
    """A token endpoint and an API: ``tokens`` answers log-ins, ``api`` requests; each by its own number from 1."""

    def __init__(self, tokens=lambda number: token(f"t0ken-{number}"), api=lambda _: httpx.Response(200, content=BODY)):
        self.tokens, self.api = tokens, api
        self.logins, self.asked = [], []

    async def __call__(self, request):
        if request.url.path == "/oauth2/token":
            self.logins.append(request)
            answer = self.tokens(len(self.logins))
        else:
            self.asked.append(request.headers["authorization"])
            answer = self.api(len(self.asked))
        return answer if isinstance(answer, httpx.Response) else await answer

    @property
    def transport(self):
        return httpx.MockTransport(self)


@pytest.fixture
def asked(ask):
    return ask("ibm_video", metrics=["total_views"])


@pytest.fixture
def ibm(asked, client, bounds):
    """Give ``get`` for a vendor, which asks it once; and the same client at each call."""

    def ibm(vendor, asked=asked, **more):
        http = client(asked, vendor.transport, **more)
        return lambda interval=60.0: http.get(
            asked.request(), Bounds(bounds.timeout, bounds.max_response, interval), whole
        )

    return ibm


async def failing(*calls):
    """Await all; give the texts of the errors by their reasons."""
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(each, VendorError) for each in found), found
    return [(each.reason, str(each)) for each in found]


# --- API key --------------------------------------------------------------------------------------------------------


async def test_the_key_goes_along_in_its_header(ask, client, peer, bounds):
    vendor = peer(httpx.Response(200, content=BODY))
    asked = ask("smartsight", metrics=["views"])
    await client(asked, vendor.transport).get(asked.request(), bounds, whole)
    [headers] = vendor.headers
    assert headers["x-api-key"] == "k3y-of-smartsight"
    assert "authorization" not in headers


async def test_a_key_of_the_configuration_is_asked_with_once(ask, client, peer, bounds):
    vendor = peer(httpx.Response(401, json={"detail": "Invalid or missing API key"}))
    asked = ask("smartsight", metrics=["views"])
    with pytest.raises(AuthError, match="HTTP 401: Invalid or missing API key"):
        await client(asked, vendor.transport).get(asked.request(), bounds, whole)
    assert len(vendor.requests) == 1


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "key"
    path.write_text("old-key\n")
    return path


@pytest.fixture
def keyed(ask, key_file):
    return ask("smartsight", source={"auth": {"api_key_file": str(key_file)}}, metrics=["views"])


async def test_a_rotated_key_file_is_read_after_a_401_and_the_request_repeated(keyed, client, clock, key_file, bounds):
    vendor = SimulatedSmartSight(api_key="old-key", customer_id=199493832, clock=clock)
    http = client(keyed, httpx.ASGITransport(vendor.app))
    await http.get(keyed.request(), bounds, whole)
    vendor.api_key = "new-key"
    key_file.write_text("new-key\n")
    await http.get(keyed.request(), bounds, whole)
    await http.get(keyed.request(), bounds, whole)
    assert [answer.status for answer in vendor.answers] == [200, 401, 200, 200]


async def test_a_401_with_the_new_key_too_is_an_auth_error_after_exactly_one_repetition(
    keyed, client, peer, bounds, observed
):
    vendor = peer(lambda _: httpx.Response(401))
    with pytest.raises(AuthError):
        await client(keyed, vendor.transport).get(keyed.request(), bounds, whole)
    assert observed.codes == [("metricquery", "401")] * 2


@pytest.mark.parametrize("status", [403, 404, 429, 500])
async def test_only_a_401_is_repeated(keyed, client, peer, bounds, status):
    vendor = peer(lambda _: httpx.Response(status))
    with pytest.raises(VendorError):
        await client(keyed, vendor.transport).get(keyed.request(), bounds, whole)
    assert len(vendor.requests) == 1


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe", "schlüssel".encode(), b"two\nlines"])
async def test_a_key_file_that_can_t_be_used_is_an_auth_error_and_nothing_is_sent(
    keyed, client, peer, bounds, key_file, content
):
    key_file.unlink() if content is None else key_file.write_bytes(content)
    vendor = peer(httpx.Response(200))
    with pytest.raises(AuthError, match="API key"):
        await client(keyed, vendor.transport).get(keyed.request(), bounds, whole)
    assert vendor.requests == []


async def test_a_key_file_that_is_gone_after_a_401_is_an_auth_error(keyed, client, bounds, key_file, peer):
    def refuse(_):
        key_file.unlink()
        return httpx.Response(401)

    with pytest.raises(AuthError, match="can't be read"):
        await client(keyed, peer(refuse).transport).get(keyed.request(), bounds, whole)


async def test_a_key_that_was_just_rotated_away_is_in_no_error_either(keyed, client, bounds, key_file):
    gate, arrived = asyncio.Event(), asyncio.Event()

    async def handle(request):
        if "slow" in request.url.params.get("orderby", ""):
            arrived.set()
            await gate.wait()
            return httpx.Response(403, json={"detail": f"key {request.headers['x-api-key']} is revoked"})
        return httpx.Response(401 if request.headers["x-api-key"] == "old-key" else 200, content=BODY)

    http = client(keyed, httpx.MockTransport(handle))
    request = keyed.request()
    slow = type(request)(request.endpoint, request.path, (("orderby", "slow"),))
    running = asyncio.create_task(http.get(slow, bounds, whole))
    await arrived.wait()
    key_file.write_text("new-key")
    await http.get(request, bounds, whole)
    gate.set()
    with pytest.raises(AuthError) as caught:
        await running
    assert "old-key" not in str(caught.value)


# --- Client credentials: what is sent -------------------------------------------------------------------------------


async def test_a_login_is_a_form_with_the_secret_in_basic_auth_and_the_token_goes_without_bearer(ibm):
    vendor = Ibm()
    assert await ibm(vendor)() == BODY
    [login] = vendor.logins
    assert (login.method, str(login.url)) == ("POST", "https://video.ibm.com/oauth2/token")
    assert login.headers["content-type"] == "application/x-www-form-urlencoded"
    assert dict(parse_qsl(login.content.decode(), strict_parsing=True)) == {
        "grant_type": "client_credentials",
        "client_id": "exporter",
        "token_type": "jwt",
    }
    assert base64.b64decode(login.headers["authorization"].removeprefix("Basic ")).decode() == f"exporter:{SECRET}"
    assert vendor.asked == ["t0ken-1"]


async def test_scope_and_device_name_go_along_where_given(ask, ibm):
    auth = {"client_id": "ü&=", "client_secret": "p:ä%", "scope": "a b", "device_name": "exporter 1"}
    vendor = Ibm()
    await ibm(vendor, ask("ibm_video", source={"auth": auth}, metrics=["total_views"]))()
    [login] = vendor.logins
    form = dict(parse_qsl(login.content.decode(), strict_parsing=True))
    assert (form["client_id"], form["scope"], form["device_name"]) == ("ü&=", "a b", "exporter 1")
    assert base64.b64decode(login.headers["authorization"].removeprefix("Basic ")).decode() == "ü&=:p:ä%"


async def test_the_simulated_vendor_takes_the_login(ibm, clock):
    vendor = Simulated(client_id="exporter", client_secret=SECRET, clock=clock)
    http = type("Peer", (), {"transport": httpx.ASGITransport(vendor.app)})
    await ibm(http)()
    assert [(answer.path, answer.status) for answer in vendor.answers] == [
        ("/oauth2/token", 200),
        ("/v1/total-views/summary", 200),
    ]


async def test_a_login_is_told_as_an_exchange_and_by_the_token_s_life(ibm, observed):
    await ibm(Ibm())()
    assert observed.codes == [("token", "200"), ("total-views", "200")]
    assert observed.lives == [DAY]


# --- The token's life -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("life", "good_for"),
    [(DAY, DAY - 60), (900, 840), (100, 90), ("missing", 3540), (None, 3540), (0, 3540), (-5, 3540), ("soon", 3540)],
)
async def test_a_token_is_renewed_before_it_expires(ibm, clock, life, good_for):
    vendor = Ibm(lambda number: token(f"t0ken-{number}", **({} if life == "missing" else {"expires_in": life})))
    if life == "missing":
        vendor.tokens = lambda number: httpx.Response(201, json={"access_token": f"t0ken-{number}"})
    get = ibm(vendor)
    await get()
    clock.now += good_for - 1
    await get()
    clock.now += 1
    await get()
    assert vendor.asked == ["t0ken-1", "t0ken-1", "t0ken-2"]


async def test_a_secret_file_is_read_at_each_login(ask, ibm, clock, tmp_path):
    path = tmp_path / "secret"
    path.write_text("one\n")
    auth = {"client_id": "exporter", "client_secret_file": str(path)}
    vendor = Ibm()
    get = ibm(vendor, ask("ibm_video", source={"auth": auth}, metrics=["total_views"]))
    await get()
    path.write_text("two\n")
    clock.now += DAY
    await get()
    found = [base64.b64decode(login.headers["authorization"].removeprefix("Basic ")) for login in vendor.logins]
    assert found == [b"exporter:one", b"exporter:two"]


async def test_a_secret_file_that_is_missing_is_an_auth_error(ask, ibm, tmp_path):
    auth = {"client_id": "exporter", "client_secret_file": str(tmp_path / "none")}
    vendor = Ibm()
    with pytest.raises(AuthError, match="client secret file"):
        await ibm(vendor, ask("ibm_video", source={"auth": auth}, metrics=["total_views"]))()
    assert vendor.logins == []


async def test_a_token_that_lives_shorter_than_a_request_takes_is_used_all_the_same(ibm, clock):
    def tokens(number):
        assert number < 20, "it logs in for ever"
        clock.now += 1
        return token(f"t0ken-{number}", expires_in=0.5)

    def ticking():
        clock.now += 1
        return clock.now

    vendor = Ibm(tokens)
    assert await ibm(vendor, time=ticking)() == BODY
    assert len(vendor.logins) == 1


# --- One login for all ----------------------------------------------------------------------------------------------


def test_fifty_waiters_log_in_once(virtual, ibm):
    async def slow(number):
        await asyncio.sleep(5)
        return token(f"t0ken-{number}")

    vendor = Ibm(slow)

    async def main(time):
        get = ibm(vendor, time=time)
        assert await asyncio.gather(*(get() for _ in range(50))) == [BODY] * 50

    virtual(main)
    assert len(vendor.logins) == 1
    assert vendor.asked == ["t0ken-1"] * 50


@pytest.mark.parametrize(("status", "reason"), [(503, "server_error"), (400, "auth")])
def test_fifty_waiters_share_a_login_that_fails(virtual, ibm, status, reason):
    async def slow(_):
        await asyncio.sleep(5)
        return httpx.Response(status, json={"error": "unavailable"})

    vendor = Ibm(slow)

    async def main(time):
        get = ibm(vendor, time=time)
        found = await failing(*(get() for _ in range(50)))
        assert {each for each, _ in found} == {reason}
        assert all("unavailable" in text for _, text in found)

    virtual(main)
    assert len(vendor.logins) == 1
    assert vendor.asked == []


def test_fifty_requests_that_get_a_401_at_once_log_in_once_more(virtual, ask, ibm):
    async def api(number):
        await asyncio.sleep(5)
        return httpx.Response(401) if number <= 50 else httpx.Response(200, content=BODY)

    vendor = Ibm(api=api)

    async def main(time):
        get = ibm(vendor, wide, time=time)
        assert await asyncio.gather(*(get() for _ in range(50))) == [BODY] * 50

    wide = ask("ibm_video", source={"limits": {"concurrency": 50}}, metrics=["total_views"])
    virtual(main)
    assert len(vendor.logins) == 2
    assert vendor.asked == ["t0ken-1"] * 50 + ["t0ken-2"] * 50


# --- A token that is refused ----------------------------------------------------------------------------------------


async def test_a_401_brings_one_new_login_and_the_request_again(ibm, observed):
    vendor = Ibm(api=lambda number: httpx.Response(401) if number == 1 else httpx.Response(200, content=BODY))
    assert await ibm(vendor)() == BODY
    assert vendor.asked == ["t0ken-1", "t0ken-2"]
    assert [code for _, code in observed.codes] == ["200", "401", "200", "200"]


async def test_a_401_with_the_new_token_too_is_the_end(ibm):
    vendor = Ibm(api=lambda _: httpx.Response(401))
    with pytest.raises(AuthError, match="total-views: HTTP 401"):
        await ibm(vendor)()
    assert vendor.asked == ["t0ken-1", "t0ken-2"]
    assert len(vendor.logins) == 2


async def test_a_token_endpoint_that_gives_the_refused_token_again_is_not_asked_for_ever(ibm):
    """As servers do that keep a token until it expires."""

    def tokens(number):
        assert number < 20, "it logs in for ever"
        return token("t0ken-same")

    vendor = Ibm(tokens, lambda _: httpx.Response(401))
    with pytest.raises(AuthError, match="HTTP 401"):
        await ibm(vendor)()
    assert len(vendor.logins) <= 2
    assert len(vendor.asked) <= 2


@pytest.mark.parametrize("status", [403, 429, 500])
async def test_only_a_401_brings_a_new_login(ibm, status):
    vendor = Ibm(api=lambda _: httpx.Response(status))
    with pytest.raises(VendorError):
        await ibm(vendor)()
    assert len(vendor.logins) == len(vendor.asked) == 1


# --- A login that fails ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        *((httpx.Response(status, json={"error": "x"}), AuthError) for status in (400, 401, 403, 404, 422, 429)),
        *((httpx.Response(status, json={"error": "x"}), ServerError) for status in (500, 501, 502, 503, 504)),
        (httpx.Response(302, headers={"location": "https://elsewhere.example/login"}), BadResponse),
        (httpx.Response(200, content=b"<html>Log in</html>"), BadResponse),
        (httpx.Response(200, content=b""), BadResponse),
        *(
            (httpx.Response(200, json=body), BadResponse)
            for body in ({}, [], None, {"access_token": ""}, {"access_token": 7}, {"access_token": "a\nb"})
        ),
    ],
)
async def test_an_answer_of_the_token_endpoint_has_its_error(ibm, answer, kind):
    vendor = Ibm(lambda _: answer)
    with pytest.raises(VendorError, match=r"^total-views: ") as caught:
        await ibm(vendor)()
    assert caught.value.reason == kind.reason
    assert len(vendor.logins) == 1
    assert vendor.asked == []


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": "invalid_client"}, "HTTP 400: invalid_client"),
        ({"error": "invalid_grant", "error_description": "No such client"}, "HTTP 400: invalid_grant: No such client"),
        ({"error": {"code": 1}}, "HTTP 400"),
        ([], "HTTP 400"),
    ],
)
async def test_the_token_endpoint_s_words_are_told(ibm, body, words):
    [(_, text)] = await failing(ibm(Ibm(lambda _: httpx.Response(400, json=body)))())
    assert text == f"total-views: the log-in was answered with {words}"


@pytest.mark.parametrize(("error", "kind"), [(httpx.ConnectError, NetworkError), (httpx.ReadTimeout, TimedOut)])
async def test_a_token_endpoint_that_can_t_be_reached_is_told_as_such(ibm, observed, error, kind):
    def tokens(_):
        raise error("no way")

    with pytest.raises(kind):
        await ibm(Ibm(tokens))()
    assert observed.codes == [("token", kind.reason)]


async def test_a_refused_login_rests_for_an_interval(ibm, clock):
    vendor = Ibm(lambda _: httpx.Response(400, json={"error": "invalid_client"}))
    get = ibm(vendor)
    for after, logins in [(0, 1), (0, 1), (30, 1), (29, 1), (1, 2), (59, 2), (1, 3)]:
        clock.now += after
        [(reason, text)] = await failing(get(60.0))
        assert (reason, len(vendor.logins)) == ("auth", logins)
        assert "invalid_client" in text


async def test_a_refused_login_is_tried_again_at_the_next_poll_though_its_answer_took_a_moment(ibm, clock):
    """Polls are an interval apart; a rest that began with the answer would skip every other one."""

    def tokens(number):
        clock.now += 0.3
        return httpx.Response(400) if number == 1 else token()

    get = ibm(Ibm(tokens))
    began = clock.now
    await failing(get(60.0))
    clock.now = began + 60
    assert await get(60.0) == BODY


@pytest.mark.parametrize("tokens", [lambda _: httpx.Response(503), lambda _: httpx.Response(200, content=b"{}")])
async def test_a_login_that_failed_in_another_way_does_not_rest(ibm, tokens):
    vendor = Ibm(tokens)
    get = ibm(vendor)
    await failing(get())
    vendor.tokens = lambda _: token()
    assert await get() == BODY


async def test_after_a_login_the_last_failure_is_forgotten(ibm, clock):
    vendor = Ibm(lambda _: httpx.Response(400))
    get = ibm(vendor)
    await failing(get())
    clock.now += 60
    vendor.tokens = lambda number: token(f"t0ken-{number}")
    await get()
    vendor.api = lambda number: httpx.Response(401 if number == 2 else 200, content=BODY)
    assert await get() == BODY
    assert vendor.asked[-2:] == ["t0ken-2", "t0ken-3"]


# --- A renewal that fails -------------------------------------------------------------------------------------------


def unreachable(_):
    raise httpx.ConnectTimeout("no way")


PASSING = {
    "503": lambda _: httpx.Response(503),
    "429": lambda _: httpx.Response(429, json={"error": "slow down"}),
    "time-out": unreachable,
    "HTML": lambda _: httpx.Response(200, content=b"<html>Back soon</html>"),
}


@pytest.fixture(params=PASSING)
def renewing(request, ibm, clock):
    """Give a vendor whose token is to be renewed, which fails for now; and ``get``."""

    async def renewing(life=300):
        vendor = Ibm(lambda number: token(f"t0ken-{number}", expires_in=life))
        get = ibm(vendor)
        await get()
        clock.now += life - 30
        vendor.tokens = PASSING[request.param]
        return vendor, get

    return renewing


async def test_a_token_that_is_still_good_is_used_though_its_renewal_failed(renewing, clock):
    vendor, get = await renewing()
    assert await get(10.0) == BODY
    assert vendor.asked == ["t0ken-1"] * 2
    vendor.tokens = lambda number: token(f"t0ken-{number}")
    clock.now += 10
    await get(10.0)
    assert vendor.asked == ["t0ken-1", "t0ken-1", "t0ken-3"]


async def test_a_renewal_that_failed_is_tried_again_at_the_next_poll_and_not_before(renewing, clock):
    vendor, get = await renewing()
    for after, logins in [(0, 2), (0, 2), (5, 2), (5, 3), (9, 3), (1, 4)]:
        clock.now += after
        assert await get(10.0) == BODY
        assert len(vendor.logins) == logins


async def test_a_token_is_not_used_beyond_its_end(renewing, clock):
    vendor, get = await renewing()
    await get(60.0)
    clock.now += 30
    await failing(get(60.0))
    assert vendor.asked == ["t0ken-1"] * 2
    assert len(vendor.logins) == 3


async def test_a_token_that_is_refused_is_not_used_though_a_new_one_fails_to_come(ibm):
    vendor = Ibm()
    get = ibm(vendor)
    await get()
    vendor.tokens, vendor.api = PASSING["503"], lambda _: httpx.Response(401)
    assert [reason for reason, _ in await failing(get())] == ["server_error"]
    assert vendor.asked == ["t0ken-1"] * 2


@pytest.mark.parametrize("status", [400, 401, 403])
async def test_a_login_that_is_refused_ends_the_token_before(ibm, clock, status):
    vendor = Ibm(lambda number: token() if number == 1 else httpx.Response(status))
    get = ibm(vendor)
    await get()
    clock.now += DAY - 30
    assert [reason for reason, _ in await failing(get())] == ["auth"]
    assert vendor.asked == ["t0ken-1"]


def test_fifty_waiters_go_on_with_a_token_whose_renewal_failed(virtual, ibm):
    async def slow(number):
        await asyncio.sleep(5)
        return token(expires_in=300) if number == 1 else httpx.Response(503)

    vendor = Ibm(slow)

    async def main(time):
        get = ibm(vendor, time=time)
        await get()
        await asyncio.sleep(280)
        assert await asyncio.gather(*(get() for _ in range(50))) == [BODY] * 50

    virtual(main)
    assert len(vendor.logins) == 2
    assert vendor.asked == ["t0ken-1"] * 51


async def test_a_token_whose_renewal_failed_is_still_told_as_good(ask, client, bounds, clock):
    asked = ask("ibm_video", metrics=["total_views"])
    vendor = Ibm(lambda _: token(expires_in=300))
    http = client(asked, vendor.transport)
    await http.get(asked.request(), bounds, whole)
    expiry = http.standing.token_expiry
    clock.now += 280
    vendor.tokens = PASSING["503"]
    await http.get(asked.request(), bounds, whole)
    assert (http.standing.login, http.standing.token_expiry) == ("ok", expiry)


PASSWORD = {"auth": {"username": "ops", "password": "p4ss-of-ops"}, "plan_level": 7}


class Keycloak:
    """A realm and an API: ``answers`` are those to token requests, a number for one without a token."""

    def __init__(self, *answers):
        self.answers, self.grants, self.asked = list(answers), [], []

    def __call__(self, request):
        if request.method == "GET":
            self.asked.append(request.headers["authorization"])
            return httpx.Response(200, content=BODY)
        self.grants.append(dict(parse_qsl(request.content.decode()))["grant_type"])
        answer = self.answers.pop(0)
        return httpx.Response(answer) if isinstance(answer, int) else answer


@pytest.mark.parametrize(
    ("answers", "grants", "carried"),
    [
        (["new"], ["refresh_token"], "new"),
        ([400, "new"], ["refresh_token", "password"], "new"),
        ([503], ["refresh_token"], "old"),
        ([400, 503], ["refresh_token", "password"], "old"),
        ([429, 429], ["refresh_token", "password"], "old"),
    ],
)
async def test_a_refresh_that_is_refused_is_a_login_and_one_that_failed_leaves_all_as_it_was(
    ask, client, bounds, clock, answers, grants, carried
):
    def issued(name):
        return token(name, expires_in=300, refresh_token=f"refr3sh-of-{name}", refresh_expires_in=1800)

    asked = ask("smartsight", source=PASSWORD, endpoint="session", metrics=["latency"])
    vendor = Keycloak(issued("old"), *(issued(each) if isinstance(each, str) else each for each in answers))
    http = client(asked, httpx.MockTransport(vendor))
    await http.get(asked.request(), bounds, whole)
    clock.now += 280
    await http.get(asked.request(), bounds, whole)
    assert vendor.grants == ["password", *grants]
    assert vendor.asked == ["Bearer old", f"Bearer {carried}"]
    assert http._auth._token.refresh == f"refr3sh-of-{carried}"


# --- A login that is cancelled --------------------------------------------------------------------------------------


@pytest.mark.parametrize("failed_before", [False, True])
def test_a_cancelled_login_leaves_the_others_to_log_in(virtual, ibm, failed_before):
    async def slow(number):
        await asyncio.sleep(5)
        return httpx.Response(503) if failed_before and number == 1 else token(f"t0ken-{number}")

    vendor = Ibm(slow)

    async def main(time):
        get = ibm(vendor, time=time)
        if failed_before:
            await failing(get())
        tasks = [asyncio.create_task(get()) for _ in range(10)]
        await asyncio.sleep(1)
        tasks[0].cancel()
        first, *others = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(first, asyncio.CancelledError)
        assert others == [BODY] * 9

    virtual(main)
    assert len(vendor.logins) == 2 + failed_before


def test_a_waiter_that_is_cancelled_leaves_the_login_to_go_on(virtual, ibm):
    async def slow(number):
        await asyncio.sleep(5)
        return token(f"t0ken-{number}")

    vendor = Ibm(slow)

    async def main(time):
        get = ibm(vendor, time=time)
        tasks = [asyncio.create_task(get()) for _ in range(3)]
        await asyncio.sleep(1)
        tasks[1].cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [found[0], found[2]] == [BODY, BODY]

    virtual(main)
    assert len(vendor.logins) == 1


# --- Secrets --------------------------------------------------------------------------------------------------------

BASIC = base64.b64encode(f"exporter:{SECRET}".encode()).decode()


@pytest.mark.parametrize("secret", [SECRET, BASIC, f"Basic {BASIC}"], ids=["itself", "as sent", "the header"])
@pytest.mark.parametrize("status", [400, 401, 503])
async def test_a_secret_that_the_token_endpoint_echoes_is_not_in_the_error(ibm, secret, status):
    body = {"error": f"invalid {secret}", "error_description": f"got {secret}"}
    found = await failing(*([ibm(Ibm(lambda _: httpx.Response(status, json=body)))()]))
    assert all(each not in str(found) for each in (SECRET, BASIC))


@pytest.mark.parametrize("status", [400, 401, 403, 500])
async def test_a_token_that_the_api_echoes_is_not_in_the_error(ibm, status):
    def api(number):
        return httpx.Response(status, json={"errors": [{"title": f"bad t0ken-{number}", "detail": f"t0ken-{number}"}]})

    [(_, text)] = await failing(ibm(Ibm(api=api))())
    assert "t0ken" not in text


async def test_a_token_that_contains_the_secret_is_not_in_the_error(ibm):
    name = f"head-{SECRET}-tail"
    vendor = Ibm(lambda _: token(name), lambda _: httpx.Response(500, json={"errors": [{"detail": f"bad {name}"}]}))
    [(_, text)] = await failing(ibm(vendor)())
    assert "head" not in text
    assert "tail" not in text


def test_a_token_that_was_just_renewed_is_in_no_error_either(virtual, ibm):
    """A slow answer may echo the token before, which is still good for a minute."""

    async def api(number):
        await asyncio.sleep(30 if number == 2 else 0)
        return httpx.Response(500, json={"errors": [{"detail": "bad t0ken-1"}]}) if number == 2 else httpx.Response(200)

    vendor = Ibm(lambda number: token(f"t0ken-{number}", expires_in=120), api)

    async def main(time):
        get = ibm(vendor, time=time)
        await get()
        await asyncio.sleep(100)
        slow = asyncio.create_task(get())
        await asyncio.sleep(20)
        await get()
        [(reason, text)] = await failing(slow)
        assert reason == "server_error"
        assert "t0ken-1" not in text

    virtual(main)
    assert vendor.asked == ["t0ken-1", "t0ken-1", "t0ken-2"]


async def test_no_object_shows_a_secret_in_its_repr(ask, client, bounds):
    asked = ask("ibm_video", metrics=["total_views"])
    vendor = Ibm(api=lambda _: httpx.Response(500))
    http = client(asked, vendor.transport)
    await failing(http.get(asked.request(), bounds, whole))
    things = [http, http._auth, http._auth._credentials, http._auth.__dict__["_failure"], asked.provider, asked.query]
    assert not any(secret in repr(things) for secret in (SECRET, BASIC, "t0ken"))


async def test_what_is_kept_of_a_failed_login_shows_no_secret_that_was_echoed(ask, client, bounds):
    asked = ask("ibm_video", metrics=["total_views"])
    http = client(asked, Ibm(lambda _: httpx.Response(400, json={"error": f"bad {SECRET}"})).transport)
    await failing(http.get(asked.request(), bounds, whole))
    assert SECRET not in repr(http._auth._failure)
