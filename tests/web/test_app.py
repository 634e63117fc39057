import re
from html.parser import HTMLParser

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import exporter
from exporter.model import Outcome, Window
from exporter.web.app import app
from exporter.web.status import State, page

EVENING = 1_775_764_800  # 2026-04-09 20:00 UTC
MARKUP = '<script>alert("1")</script>&amp;\''


class Shown:
    """What the pages ask for, to be set by a test."""

    def __init__(self):
        self.queries = []
        self.outcomes = {}
        self.next_polls = {}
        self.circuits = {}
        self.alive = True
        self.state = State(
            queries=lambda: self.queries,
            outcomes=lambda: self.outcomes,
            next_polls=lambda: self.next_polls,
            circuits=lambda: self.circuits,
            alive=lambda: self.alive,
        )

    def end(self, query, **more):
        facts = {"ended": EVENING + 125.0, "duration": 1.0} | more
        self.outcomes[query.key] = Outcome(query, Window(EVENING - 300, EVENING), **facts)


class Cells(HTMLParser):
    """The texts of a page's cells, row by row, the tags in them, and where its links lead."""

    def __init__(self, html):
        super().__init__()
        self.rows, self.links, self.tags, self._in = [], [], set(), False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag == "td":
            self.rows[-1].append("")
        elif tag == "a":
            self.links.append(dict(attrs)["href"])
        self._in = tag == "td"

    def handle_endtag(self, _):
        self._in = False

    def handle_data(self, text):
        if self._in:
            self.rows[-1][-1] += text


@pytest.fixture
def shown():
    return Shown()


@pytest.fixture
async def client(served, shown, client_of):
    async with client_of(app(served.metrics, "/metrics", shown.state)) as client:
        yield client


# --- Health and readiness ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("alive", "status"), [(True, 200), (False, 503)])
async def test_healthy_while_the_scheduler_runs(client, shown, alive, status):
    shown.alive = alive
    assert (await client.get("/-/healthy")).status_code == status


async def test_ready_once_the_first_poll_of_every_query_has_ended_well_or_badly(client, shown, make_query):
    shown.queries = [make_query(name="one"), make_query(name="two"), make_query(name="two", source="other")]
    statuses = [(await client.get("/-/ready")).status_code]
    for query, reason in zip(shown.queries, ("", "timeout", "auth"), strict=True):
        shown.end(query, reason=reason)
        statuses.append((await client.get("/-/ready")).status_code)
    assert statuses == [503, 503, 503, 200]


async def test_a_new_query_after_a_reload_makes_it_wait_again_and_an_old_one_does_not_help(client, shown, make_query):
    old, new = make_query(name="old"), make_query(name="new")
    shown.queries = [old]
    shown.end(old)
    assert (await client.get("/-/ready")).status_code == 200
    shown.queries = [new]
    assert (await client.get("/-/ready")).status_code == 503


@pytest.mark.parametrize("path", ["/", "/-/healthy", "/-/ready"])
async def test_pages_take_get_and_head_only(client, path):
    get, head, post = await client.get(path), await client.head(path), await client.post(path)
    assert (get.status_code, head.status_code, post.status_code) == (200, 200, 405)
    assert head.content == b""
    assert {name.strip() for name in post.headers["allow"].split(",")} == {"GET", "HEAD"}


# --- Routes -----------------------------------------------------------------------------------------------------------


async def test_unknown_paths_are_not_found(client):
    for path in ("/nothing", "/metrics/more", "/-/", "/METRICS", "/-/quit"):
        assert (await client.get(path)).status_code == 404, path


async def test_the_metrics_are_where_the_flag_says(served, shown, client_of):
    async with client_of(app(served.metrics, "/internal/metrics", shown.state)) as client:
        assert b"build_info" in (await client.get("/internal/metrics?x=1")).content
        assert (await client.get("/metrics")).status_code == 404
        assert "/internal/metrics" in Cells((await client.get("/")).text).links


async def test_a_telemetry_path_with_markup_is_escaped(shown):
    links = Cells(page(shown.state, '/"><script>')).links
    assert '/"><script>' in links


# --- The landing page -------------------------------------------------------------------------------------------------


async def test_the_page_shows_what_there_is_to_know_of_each_query(client, shown, make_query):
    waiting, good, bad = (make_query(name=name) for name in ("waiting", "good", "bad"))
    shown.queries = [waiting, good, bad]
    shown.end(good, series=1234)
    shown.end(bad, reason="timeout", error="metricquery: no whole answer within 90 s")
    shown.next_polls = {query.key: EVENING + 180.0 for query in shown.queries}
    response = await client.get("/")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    found = Cells(response.text)
    rows = {row[1]: row for row in found.rows if row}
    assert list(rows) == ["waiting", "good", "bad"]
    window = "2026-04-09 19:55:00 UTC to 2026-04-09 20:00:00 UTC"
    last, following = "2026-04-09 20:02:05 UTC", "2026-04-09 20:03:00 UTC"
    assert rows["waiting"] == ["mm", "waiting", "waiting", "", "", "", following, ""]
    assert rows["good"] == ["mm", "good", "ok", last, window, "1234", following, ""]
    assert rows["bad"][2:5] == ["fails (timeout)", last, window]
    assert rows["bad"][6:] == [following, "metricquery: no whole answer within 90 s"]
    assert {"/metrics", "/-/healthy", "/-/ready"} <= set(found.links)
    assert exporter.__version__ in response.text


async def test_markup_in_names_and_errors_is_shown_and_not_run(client, shown, make_query):
    query = make_query(name=MARKUP, source=MARKUP)
    shown.queries = [query]
    shown.end(query, reason="bad_request", error=MARKUP)
    response = await client.get("/")
    found = Cells(response.text)
    assert "script" not in found.tags
    (row,) = [row for row in found.rows if row]
    assert (row[0], row[1], row[-1]) == (MARKUP, MARKUP, MARKUP)


async def test_the_policy_lets_nothing_run_or_load(client):
    policy = (await client.get("/")).headers["content-security-policy"]
    directives = dict(directive.split(maxsplit=1) for directive in policy.split("; "))
    assert directives["default-src"] == "'none'"
    assert "script-src" not in directives
    assert set(directives) <= {"default-src", "style-src", "frame-ancestors", "base-uri", "form-action"}


async def test_the_page_needs_nothing_that_its_policy_forbids(client):
    html = (await client.get("/")).text
    assert not re.search(r"<(script|img|link|iframe|form)\b|\son\w+=|url\(", html)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(exclude_characters="\r\0")))
async def test_a_vendor_s_words_never_break_the_page(make_query, served, client_of, text):
    shown = Shown()
    query = make_query()
    shown.queries = [query]
    shown.end(query, reason="bad_request", error=f"HTTP 400: {text}")
    async with client_of(app(served.metrics, "/metrics", shown.state)) as client:
        response = await client.get("/")
    assert response.status_code == 200
    (row,) = [row for row in Cells(response.text).rows if row]
    assert row[-1].startswith("HTTP 400: ")
