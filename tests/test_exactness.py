"""What must be exact: log-ins counted one by one, and numbers over many pages while the data moves."""

import asyncio
import json
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import quote, quote_plus

import httpx
import pytest
import yaml
from starlette.responses import Response

from exporter.config import load
from exporter.exposition import Exposition, Format
from exporter.gzipped import inflate
from exporter.plan import plan
from exporter.poll import Poller
from exporter.providers.http import Client
from exporter.simulator.ibm_video import IbmVideo
from exporter.simulator.smartsight import SmartSight
from exporter.store import Store

NOW = 1_795_243_500.0
INTERVAL = 60
SOURCES = yaml.safe_load("""
key: {type: smartsight, base_url: http://ss, customer_id: 1, auth: {api_key: k3y}}
oauth:
  type: smartsight
  base_url: http://ss
  customer_id: 1
  plan_level: 2735
  auth: &auth
    username: ops@example.com
    password: p4ss
    token_url: http://ss/realms/mediamelon/protocol/openid-connect/token
lookup: {type: smartsight, base_url: http://ss, customer_id: 1, auth: *auth}
ibm: {type: ibm_video, base_url: http://ibm/v1, auth: {client_id: c, client_secret: s, token_url: http://ibm/oauth2/token}}
""")


class Observed:
    def requested(self, _): ...

    def throttled(self, *_): ...

    def logged_in(self, *_): ...

    def retried(self, _): ...

    def remaining(self, *_): ...


class House:
    """Queries in front of a transport, with one clock for everybody that a test moves."""

    def __init__(self, login, queries, transport, **auth):
        self.now = NOW
        source = SOURCES[login] | {"limits": {"concurrency": 50}, "auth": SOURCES[login]["auth"] | auth}
        source["auth"] = {name: value for name, value in source["auth"].items() if value is not None}
        queries = [{"name": f"q{number}", "source": "s", **query} for number, query in enumerate(queries)]
        self.config = load(json.dumps({"sources": {"s": source}, "queries": queries}), name="", env={})
        self.transport = transport
        self.store = Store(self.config.queries, lambda: 0.0)
        provider = self.config.sources["s"].provider
        self.client = Client(
            "s", provider, Observed(), clock=lambda: self.now, now=lambda: self.now, transport=transport
        )
        self.outcomes = []
        self.poller = Poller(
            {"s": self.client}, self.store, self.outcomes.append, now=lambda: self.now, clock=lambda: self.now
        )

    async def poll(self, seconds=0):
        """Poll all queries at once, so many seconds later; give the reasons of those that failed."""
        self.now += seconds
        self.outcomes.clear()
        await asyncio.gather(*(self.poller.poll(group) for group in plan(self.config).groups))
        return Counter(outcome.reason for outcome in self.outcomes if outcome.reason)

    @property
    def lines(self):
        body = inflate(Exposition(self.store).body(Format.TEXT)).decode()
        return [line for line in body.splitlines() if not line.startswith("#")]

    @property
    def values(self):
        """The values by family and own labels' values, of one query."""
        found = {}
        for line in self.lines:
            name, _, rest = line.partition("{")
            labels, _, value = rest.rpartition("} ")
            own = [label.partition("=")[2].strip('"') for label in labels.split(",")[2:]]
            found[(name, *own)] = float(value)
        return found


class Together(httpx.ASGITransport):
    """A vendor in this process; before it answers, whoever else wants to ask has asked too."""

    async def handle_async_request(self, request):
        await asyncio.sleep(0)
        return await super().handle_async_request(request)


def smartsight(house_of, queries, **more):
    """Give the simulated SmartSight and a house in front of it, whose clock is the vendor's too."""
    house = None
    vendor = SmartSight(
        api_key="k3y", customer_id=1, clock=lambda: house.now, username="ops@example.com", password="p4ss"
    )
    house = House(house_of, queries, Together(vendor.app), **more)
    return vendor, house


def ibm(queries):
    house = None
    vendor = IbmVideo(client_id="c", client_secret="s", clock=lambda: house.now)
    house = House("ibm", queries, Together(vendor.app))
    return vendor, house


PLAYS = {"metrics": ["viewercount"]}
FIFTY = [PLAYS | {"window": 300 + number} for number in range(50)]  # alike they would share a request
VIEWS = {"metrics": ["total_views"]}
FIFTY_VIEWS = [VIEWS | {"window": 300 + number} for number in range(50)]

# --- One log-in for all ----------------------------------------------------------------------------------------------


async def test_fifty_queries_that_meet_an_expired_token_refresh_it_once():
    vendor, house = smartsight("oauth", FIFTY)
    assert not await house.poll()
    assert (vendor.logins, vendor.refreshes) == (1, 0)
    assert not await house.poll(900)
    assert (vendor.logins, vendor.refreshes) == (1, 1)
    assert not await house.poll(900)
    assert (vendor.logins, vendor.refreshes) == (1, 2)
    assert 401 not in {answer.status for answer in vendor.answers}


async def test_fifty_queries_of_client_credentials_log_in_once():
    vendor, house = ibm(FIFTY_VIEWS)
    assert not await house.poll()
    assert vendor.tokens_issued == 1
    assert not await house.poll(86400)
    assert vendor.tokens_issued == 2
    assert 401 not in {answer.status for answer in vendor.answers}


@pytest.mark.parametrize("make", [lambda: smartsight("oauth", FIFTY), lambda: ibm(FIFTY_VIEWS)])
async def test_fifty_queries_whose_token_the_vendor_forgot_log_in_once(make):
    vendor, house = make()
    assert not await house.poll()
    vendor.tokens.clear()
    vendor.answers.clear()
    assert not await house.poll(1)
    assert Counter(answer.status for answer in vendor.answers if "token" not in answer.path) == {401: 50, 200: 50}
    assert getattr(vendor, "logins", 0) + getattr(vendor, "tokens_issued", 0) == 2


async def test_fifty_queries_share_a_refused_log_in():
    vendor, house = smartsight("oauth", FIFTY, password="wr0ng")
    assert await house.poll() == {"auth": 50}
    assert len(vendor.answers) == 1


# --- Log-ins ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "logins", "refreshes"),
    [(800, 1, 0), (845, 1, 1), (899, 1, 1), (901, 1, 1), (1730, 1, 1), (1799, 2, 0), (1801, 2, 0), (10**6, 2, 0)],
)
async def test_a_token_is_refreshed_before_it_is_over_and_a_login_begins_anew_after_the_refresh_token(
    seconds, logins, refreshes
):
    vendor, house = smartsight("oauth", [PLAYS])
    assert not await house.poll()
    assert not await house.poll(seconds)
    assert (vendor.logins, vendor.refreshes) == (logins, refreshes)
    assert {answer.status for answer in vendor.answers} <= {200, 201}


async def test_tokens_are_refreshed_for_hours_without_the_password():
    vendor, house = smartsight("oauth", [PLAYS])
    for _ in range(30):
        assert not await house.poll(600)
    assert (vendor.logins, vendor.refreshes) == (1, 14)


async def test_a_refused_refresh_token_is_followed_by_a_login():
    vendor, house = smartsight("oauth", [PLAYS])
    assert not await house.poll()
    vendor.refresh_tokens.clear()
    assert not await house.poll(850)
    assert (vendor.logins, vendor.refreshes) == (2, 0)


async def test_a_token_that_is_refused_early_is_followed_by_a_login():
    vendor, house = smartsight("oauth", [PLAYS])
    assert not await house.poll()
    vendor.tokens.clear()
    assert not await house.poll(1)
    assert [answer.status for answer in vendor.answers] == [201, 200, 401, 201, 200]


async def test_a_refresh_that_fails_at_the_vendor_costs_no_more_than_that_poll():
    vendor, house = smartsight("oauth", [PLAYS])
    assert not await house.poll()

    async def unavailable(request):
        return Response(status_code=503) if request.method == "POST" else None

    vendor.intercept = unavailable
    assert not await house.poll(850)  # the token that there is has 50 s left
    assert await house.poll(60) == {"server_error": 1}
    vendor.intercept = None
    assert not await house.poll(60)


async def test_the_password_file_is_read_at_each_login(tmp_path):
    file = tmp_path / "password"
    file.write_text("p4ss\n")
    vendor, house = smartsight("oauth", [PLAYS], password=None, password_file=str(file))
    assert not await house.poll()
    file.unlink()
    assert not await house.poll(850)  # a refresh needs no password
    vendor.tokens.clear()
    assert await house.poll(1) == {"auth": 1}
    vendor.password = "r0tated"
    file.write_text("r0tated")
    assert not await house.poll(INTERVAL)


async def test_a_wrong_password_is_an_auth_error_that_rests_an_interval():
    vendor, house = smartsight("oauth", [PLAYS], password="wr0ng")
    for seconds in (0, 20, 20, 19):
        assert await house.poll(seconds) == {"auth": 1}
        assert "Invalid user credentials" in house.outcomes[0].error
    assert [answer.status for answer in vendor.answers] == [401]
    assert await house.poll(1) == {"auth": 1}
    assert [answer.status for answer in vendor.answers] == [401, 401]
    vendor.password = "wr0ng"
    assert not await house.poll(INTERVAL)


# --- Secrets ---------------------------------------------------------------------------------------------------------

PASSWORD = "pä ss+w&rd/%s"
GRANT = {
    "access_token": "acc3ss.t0ken/+=",
    "refresh_token": "r3fresh.t0ken/+=",
    "id_token": "1d.t0ken",
    "expires_in": 900,
    "refresh_expires_in": 1800,
}
SECRETS = [
    spelled
    for secret in (PASSWORD, GRANT["access_token"], GRANT["refresh_token"], GRANT["id_token"])
    for spelled in {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]}
]


def echo(request):
    """Say again what was sent, as a careless gateway does."""
    return f"{request.headers.get('authorization')} {request.content.decode()} {request.url}"


def refusing(status, grants=1):
    """Give a vendor that grants so many tokens, and else echoes what it was sent with this status."""
    granted = []

    def handle(request):
        if request.method == "POST" and len(granted) < grants:
            granted.append(request)
            return httpx.Response(201, json=GRANT)
        return httpx.Response(status, json={"detail": echo(request), "error": echo(request), **GRANT})

    return httpx.MockTransport(handle)


@pytest.mark.parametrize("status", [400, 401, 403, 429, 500])
@pytest.mark.parametrize("login", ["oauth", "lookup"])
@pytest.mark.parametrize("grants", [0, 1])
async def test_no_error_shows_a_secret_that_was_echoed(login, status, grants):
    house = House(login, [PLAYS], refusing(status, grants), password=PASSWORD)
    errors = []
    for seconds in (0, 850, 100):
        await house.poll(seconds)
        errors += [outcome.error for outcome in house.outcomes]
    assert len(errors) == 3
    assert not [(secret, error) for secret in SECRETS for error in errors if secret in error]


async def test_no_object_shows_a_secret_in_its_repr():
    house = House("lookup", [PLAYS], refusing(500), password=PASSWORD)
    await house.poll()
    source = house.config.sources["s"]
    shown = [house.config, source, source.settings, source.provider, source.provider.credentials, house.outcomes]
    shown += [house.client, vars(house.client), house.client._auth, house.client._auth._token]
    assert not [secret for secret in SECRETS for each in shown if secret in repr(each)]


# --- Plan level ------------------------------------------------------------------------------------------------------


def asked(vendor):
    return Counter(answer.path for answer in vendor.answers if answer.path.startswith("/planLevel"))


async def test_the_plan_level_is_looked_up_once_for_fifty_queries_and_two_polls():
    vendor, house = smartsight("lookup", FIFTY)
    assert not await house.poll()
    assert not await house.poll(60)
    assert asked(vendor) == {"/planLevelByCustId/1": 1}
    levels = {answer.params.get("planlevel") for answer in vendor.answers if answer.path.startswith("/mm-apis")}
    assert levels == {"2735"}


async def test_a_plan_level_that_is_given_is_not_looked_up():
    vendor, house = smartsight("oauth", [PLAYS])
    assert not await house.poll()
    assert not asked(vendor)
    assert vendor.answers[-1].params["planlevel"] == "2735"


async def test_a_key_needs_no_plan_level():
    vendor, house = smartsight("key", [PLAYS])
    assert not await house.poll()
    [answer] = vendor.answers
    assert "planlevel" not in answer.params


@pytest.mark.parametrize("answer", [{}, [], "", "gold", True, {"planlevel": None}, {"plan": 2735}, 2735.5])
async def test_a_look_up_that_fails_fails_the_poll_and_is_asked_again(answer):
    vendor, house = smartsight("lookup", [PLAYS])
    vendor.plan_level_answer = answer
    assert await house.poll() == {"bad_response": 1}
    assert "planlevel" in house.outcomes[0].error
    vendor.plan_level_answer = None
    assert not await house.poll(60)
    assert asked(vendor) == {"/planLevelByCustId/1": 2}


@pytest.mark.parametrize(
    ("status", "reason"), [(403, "auth"), (404, "bad_request"), (429, "rate_limited"), (500, "server_error")]
)
async def test_a_look_up_that_is_refused_says_that_it_was_the_look_up(status, reason):
    def handle(request):
        if request.method == "POST":
            return httpx.Response(201, json=GRANT)
        return httpx.Response(status if "planLevel" in request.url.path else 200, json={"detail": "No."})

    house = House("lookup", [PLAYS], httpx.MockTransport(handle))
    assert await house.poll() == {reason: 1}
    assert "planlevel" in house.outcomes[0].error.lower()


async def test_fifty_queries_share_a_look_up_that_fails():
    vendor, house = smartsight("lookup", FIFTY)
    vendor.plan_level_answer = {}
    assert await house.poll() == {"bad_response": 50}
    assert asked(vendor) == {"/planLevelByCustId/1": 1}


@pytest.mark.parametrize("seconds", [1, 20, 55, 60])
async def test_a_look_up_that_failed_at_the_vendor_is_asked_again_by_the_next_poll(seconds):
    """The first poll comes at once and the next on the grid; other queries of the source have another place on it."""
    vendor, house = smartsight("lookup", [PLAYS])

    async def unavailable(request):
        return Response(status_code=503) if request.url.path.startswith("/planLevel") else None

    vendor.intercept = unavailable
    assert await house.poll() == {"server_error": 1}
    vendor.intercept = None
    assert not await house.poll(seconds)


async def test_a_plan_level_that_the_vendor_no_longer_takes_is_looked_up_again():
    vendor, house = smartsight("lookup", [PLAYS | {"interval": "1h"}])
    vendor.plan_level_answer = {}
    assert await house.poll() == {"bad_response": 1}
    vendor.plan_level_answer, vendor.plan_level = None, 7
    assert not await house.poll(3600)
    vendor.plan_level = 8  # the account has moved to another plan
    assert await house.poll(10) == {"auth": 1}
    assert not await house.poll(10)


# --- Many pages ------------------------------------------------------------------------------------------------------

TOKEN = {"access_token": "t", "token_type": "jwt", "expires_in": 86400}
SLIPS = [0, 1, 7]
"""How many new rows come in front of the others between a page and the next: so many of the old ones come twice."""


def shifted(rows, page, size, slip):
    """Give a page of rows that move back by ``slip`` with each page."""
    start = (page - 1) * (size - slip)
    return rows[start : start + size], start + size < len(rows)


class IbmPages:
    """The views of an account, 10,000 a page, with links as in the documents."""

    def __init__(self, rows, slip):
        self.rows, self.slip, self.asked = rows, slip, []

    def __call__(self, request):
        if request.method == "POST":
            return httpx.Response(200, json=TOKEN)
        params = dict(request.url.params)
        page, size = int(params["_page"]), int(params["_limit"])
        self.asked.append(params)
        rows, more = shifted(self.rows, page, size, self.slip)

        def link(number):
            return {"href": f"/views?_page={number}&_limit={size}"}

        pagination = {"count": 10, "self": link(page), "first": link(1), "prev": link(page - 1) if page > 1 else None}
        pagination |= {"next": link(page + 1) if more else None, "last": link(9)}
        data = [{"type": "View", "attributes": row} for row in rows]
        return httpx.Response(200, json={"data": data, "pagination": pagination})


WINDOW = 300
END = int(NOW - 120) // INTERVAL * INTERVAL


def moment(second, hours):
    return datetime.fromtimestamp(second, UTC).astimezone(timezone(timedelta(hours=hours))).isoformat()


def a_view(number):
    """Make a view: each third is unfinished, some begin before the window, some end after it."""
    began = END - WINDOW - 100 + number % 390
    ended = None if number % 3 == 0 else began + number % 211
    row = {
        "view_id": f"view-{number}",
        "content_type": "live",
        "content_id": str(number % 7) if number % 2 else number % 7,
        "country": ("HU", "US", "")[number % 3 - number % 2],
        "started_at": moment(began, number % 5 - 2),
        "finished_at": ended and moment(ended, number % 3),
        "view_session_id": f"session-{number // 4 * 3 % 5000}",
    }
    inside = max(0, min(ended or END, END) - max(began, END - WINDOW))
    return row, (row["country"] or "unknown", str(number % 7)), inside


@pytest.mark.parametrize("slip", SLIPS)
async def test_25000_views_are_counted_exactly(slip):
    made = [a_view(number) for number in range(25_000)]
    expected, sessions = Counter(), {}
    for row, group, inside in made:
        expected["ibm_video_view_segments", *group] += 1
        expected["ibm_video_active_view_segments", *group] += row["finished_at"] is None
        expected["ibm_video_watched_seconds", *group] += inside
        sessions.setdefault(("ibm_video_view_sessions", *group), set()).add(row["view_session_id"])
    vendor = IbmPages([row for row, _, _ in made], slip)
    metrics = ["view_segments", "active_view_segments", "view_sessions", "watched_seconds"]
    query = {"metrics": metrics, "dimensions": ["country", "content_id"], "options": {"list_unfinished_segments": True}}
    house = House("ibm", [query], httpx.MockTransport(vendor))
    assert not await house.poll()
    assert house.values == {**expected, **{group: len(found) for group, found in sessions.items()}}
    assert house.outcomes[0].dropped == ({"duplicate": 2 * slip} if slip else {})
    assert [params.pop("_page") for params in vendor.asked] == ["1", "2", "3"]
    assert vendor.asked[0] == vendor.asked[1] == vendor.asked[2]
    assert vendor.asked[0]["list_unfinished_segments"] == "true"


@pytest.mark.parametrize(("field", "family"), [("viewer_seconds", sum), ("peak_viewers", max)])
async def test_the_buckets_of_many_pages_are_summed_or_compared_exactly(field, family):
    rows = [
        {
            "content_type": "live",
            "content_id": number % 9,
            "time": moment(END - 60 - number // 9 * 60, 1),
            "value": number % 83,
        }
        for number in range(25_000)
    ]
    vendor = IbmPages(rows, 3)
    query = {"metrics": [field], "dimensions": ["content_id"], "window": "2d"}
    house = House("ibm", [query], httpx.MockTransport(vendor))
    assert not await house.poll()
    groups = {str(number): [row["value"] for row in rows if row["content_id"] == number] for number in range(9)}
    assert house.values == {(f"ibm_video_{field}", group): family(values) for group, values in groups.items()}


async def test_more_rows_than_max_rows_fail_the_poll_and_so_many_do_not():
    rows = [a_view(number)[0] for number in range(25_000)]
    for most, failed in ((24_999, {"bad_response": 1}), (25_000, {})):
        query = {"metrics": ["view_segments"], "max_rows": most}
        house = House("ibm", [query], httpx.MockTransport(IbmPages(rows, 0)))
        assert await house.poll() == failed


class SmartSightPages:
    """Rows of a customer, ``limit`` a page, with a ``pagecount`` that lies."""

    def __init__(self, rows, slip, pagecount):
        self.rows, self.slip, self.pagecount, self.asked = rows, slip, pagecount, []

    def __call__(self, request):
        params = dict(request.url.params)
        offset, limit = int(params["offset"]), int(params["limit"])
        self.asked.append(offset)
        moved = self.slip * (len(self.asked) - 1)
        rows = self.rows[max(offset - moved, 0) : offset - moved + limit]
        total = {"totalcount": len(rows), "pagecount": self.pagecount, "totalrecords": len(self.rows) + moved}
        return httpx.Response(200, json=total | {"response": [row | {"totalpages": 1} for row in rows]})


@pytest.mark.parametrize("pagecount", [0, 1, 3, 2345, None])
@pytest.mark.parametrize("slip", SLIPS)
async def test_2345_rows_are_exact(slip, pagecount):
    rows = [{"assetname": f"a-{number}", "viewercount": 5000 - number} for number in range(2345)]
    vendor = SmartSightPages(rows, slip, pagecount)
    house = House("key", [PLAYS | {"dimensions": ["assetname"]}], httpx.MockTransport(vendor))
    assert not await house.poll()
    assert house.values == {("smartsight_plays", row["assetname"]): row["viewercount"] for row in rows}
    assert vendor.asked == [0, 1000, 2000]
    assert house.outcomes[0].dropped == ({"duplicate": 2 * slip} if slip else {})


async def test_of_a_row_that_comes_twice_with_other_values_the_first_is_kept():
    rows = [{"assetname": f"a-{number}", "viewercount": 5000 - number} for number in range(2000)]

    def answer(request):
        offset = int(request.url.params["offset"])
        page = [rows[999] | {"viewercount": 7}, *rows[1000:]] if offset else rows[:1000]
        return httpx.Response(200, json={"totalrecords": 2000 + bool(offset), "response": page})

    house = House("key", [PLAYS | {"dimensions": ["assetname"]}], httpx.MockTransport(answer))
    assert not await house.poll()
    assert house.values["smartsight_plays", "a-999"] == 4001
    assert len(house.values) == 2000


@pytest.mark.parametrize("pagecount", [1, 3, 2345])
@pytest.mark.parametrize("slip", SLIPS)
async def test_2345_sessions_are_counted_exactly(slip, pagecount):
    """Latencies are quarters of a second, so that sums are exact."""
    rows = [
        {
            "sessionid": f"s-{number}",
            "cdn": ("akamai", "fastly")[number % 2],
            "latency": None if number % 5 == 0 else number % 41 / 4,
        }
        for number in range(2345)
    ]
    vendor = SmartSightPages(rows, slip, pagecount)
    query = {
        "endpoint": "listsessions",
        "metrics": ["latency"],
        "dimensions": ["cdn"],
        "buckets": {"latency": [0, 1, 2.5, 10]},
    }
    house = House("key", [query], httpx.MockTransport(vendor))
    assert not await house.poll()
    expected, name = {}, "smartsight_session_startup_time_seconds"
    for cdn in ("akamai", "fastly"):
        found = [row["latency"] for row in rows if row["cdn"] == cdn and row["latency"] is not None]
        for bound in (0.0, 1.0, 2.5, 10.0):
            expected[f"{name}_bucket", cdn, str(bound)] = sum(value <= bound for value in found)
        expected[f"{name}_bucket", cdn, "+Inf"] = expected[f"{name}_count", cdn] = len(found)
        expected[f"{name}_sum", cdn] = sum(found)
        expected["smartsight_sessions", cdn] = sum(row["cdn"] == cdn for row in rows)
    assert house.values == expected
    assert house.outcomes[0].dropped == ({"duplicate": 2 * slip} if slip else {})
    assert vendor.asked == [0, 1000, 2000]


async def test_the_vendor_takes_a_session_s_id_as_a_dimension():
    _, house = smartsight(
        "key",
        [
            {
                "endpoint": "listsessions",
                "metrics": ["latency"],
                "dimensions": ["sessionid"],
                "allow_personal_data": True,
            }
        ],
    )
    assert not await house.poll()
    assert {value for (name, *_), value in house.values.items() if name == "smartsight_sessions"} == {1}


async def test_alerts_without_counts_are_paged_until_a_page_is_short():
    rows = [{"alertid": number, "severity": "warning", "starttime": 1_795_000_000 + number} for number in range(2345)]

    def answer(request):
        if request.method == "POST":
            return httpx.Response(201, json=GRANT)
        offset, limit = (int(request.url.params[name]) for name in ("offset", "limit"))
        return httpx.Response(200, json=[{"response": rows[offset : offset + limit]}])

    house = House("oauth", [{"endpoint": "alerts"}], httpx.MockTransport(answer))
    assert not await house.poll()
    assert house.values == {
        ("smartsight_alerts",): 2345,
        ("smartsight_newest_alert_start_timestamp_seconds",): 1_795_002_344,
    }


async def test_a_vendor_that_never_stops_paging_ends_at_max_rows():
    rows = [a_view(number)[0] for number in range(10)]

    def answer(request):
        if request.method == "POST":
            return httpx.Response(200, json=TOKEN)
        data = [{"type": "View", "attributes": row} for row in rows]
        return httpx.Response(200, json={"data": data, "pagination": {"next": {"href": "/views?_page=2&_limit=10"}}})

    house = House("ibm", [{"metrics": ["view_segments"], "max_rows": 500}], httpx.MockTransport(answer))
    assert await house.poll() == {"bad_response": 1}
