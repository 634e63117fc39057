"""The pages for people, as markup; what a browser makes of them is tested in tests/chromium."""

import math
import re
from html.parser import HTMLParser
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import exporter
from exporter.model import Delivered
from exporter.providers.standing import Standing
from exporter.web.app import app
from exporter.web.past import KEPT, Ended
from exporter.web.status import chart, shell
from exporter.web.status.html import Html, joined, tag, void
from exporter.web.status.overview import ROWS
from exporter.web.status.words import number, relative, some, span, took, when

EVENING = 1_775_764_800  # 2026-04-09 20:00 UTC
MARKUP = "<img src=x onerror=alert(1)>\"'&amp;</script>"


class Page(HTMLParser):
    """The texts of a page's rows, cell by cell, its tags, links and ids."""

    def __init__(self, html):
        super().__init__()
        self.rows, self.links, self.tags, self.ids, self.text, self._in = [], [], [], [], "", 0
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append((tag, attrs))
        if "id" in attrs:
            self.ids.append(attrs["id"])
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self._in = True
        elif tag == "a":
            self.links.append(attrs["href"])
        elif self._in and self.rows[-1][-1]:
            self.rows[-1][-1] += " "

    def handle_endtag(self, tag):
        self._in = self._in and tag not in ("td", "th")

    def handle_data(self, text):
        self.text += text
        if self._in:
            self.rows[-1][-1] += text

    def row(self, words):
        [found] = [row for row in self.rows if any(words in cell for cell in row)]
        return [" ".join(cell.split()) for cell in found]


@pytest.fixture
async def client(served, shown, client_of):
    async with client_of(app(served.metrics, "/metrics", shown.state)) as client:
        yield client


@pytest.fixture
def get(client):
    async def get(path="/", **params):
        response = await client.get(path, params=params)
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        assert response.headers["cache-control"] == "no-store"
        return Page(response.text)

    return get


# --- All queries ------------------------------------------------------------------------------------------------------


async def test_each_query_is_told(get, shown, make_query):
    good, bad, waiting = (make_query(["latency"], ["cdn"], name=name) for name in ("good", "bad", "new"))
    shown.ask(good, bad, waiting)
    shown.answer(good, [{"latency": 1, "cdn": "A"}, {"latency": 2, "cdn": "B"}])
    shown.end(bad, reason="rate_limited", error="metricquery: HTTP 429", duration=12.3)
    shown.next_polls = {query.key: EVENING + 180.0 for query in (good, bad, waiting)}
    page = await get()
    window, following = "19:55:00 to 20:00:00 5 min, UTC", "in 43 s 20:03:00 UTC"
    last = "12 s ago 20:02:05 UTC"
    assert page.row("bad") == [
        "✕ failing rate limited",
        "bad mm · metricquery metricquery: HTTP 429",
        "",
        "never",
        following,
        window,
        "0",
        "12 s",
    ]
    assert page.row("good") == ["✓ ok", "good mm · metricquery", "", last, following, window, "2", "1.0 s"]
    assert page.row("new") == ["… waiting", "new mm · metricquery", "", "—", following, "—", "0", "—"]
    assert "1 of 3 queries fails" in page.text
    assert "As of 2026-04-09 20:02:17 UTC" in page.text
    assert exporter.__version__ in page.text


async def test_what_fails_stands_first(get, shown, make_query):
    queries = [make_query(name=name) for name in ("a-good", "b-waits", "c-bad", "d-good")]
    shown.ask(*queries)
    for query, reason in zip(queries, ("", None, "timeout", ""), strict=True):
        if reason is not None:
            shown.end(query, reason=reason)
    names = [row[1].split()[0] for row in (await get()).rows if len(row) == 8][1:]
    assert names == ["c-bad", "b-waits", "a-good", "d-good"]


@pytest.mark.parametrize(
    ("reasons", "words"),
    [
        (["", "", ""], "All 3 queries work"),
        (["", "auth", ""], "1 of 3 queries fails"),
        (["auth", None, "timeout"], "2 of 3 queries fail"),
        (["", None, ""], "1 of 3 queries waits for the first poll"),
        ([None, None], "2 of 2 queries wait for the first poll"),
        ([""], "The only query works"),
    ],
)
async def test_the_headline_says_how_it_goes(get, shown, make_query, reasons, words):
    queries = [make_query(name=f"q{index}") for index in range(len(reasons))]
    shown.ask(*queries)
    for query, reason in zip(queries, reasons, strict=True):
        if reason is not None:
            shown.end(query, reason=reason)
    assert words in (await get()).text


async def test_each_source_is_told(get, shown, make_query):
    limits = {"concurrency": 2, "requests_per_minute": 1200}
    shown.ask(make_query(source="one"), make_query(source="two"), limits=limits)
    shown.end(shown.config.queries[0], reason="auth")
    shown.standings = {"one": Standing("refused"), "two": Standing("ok", EVENING + 4000.0, 17.0, EVENING + 200.0)}
    shown.circuits = {"one": True}
    page = await get()
    assert page.row("one smartsight") == [
        "one smartsight · https://vendor.example",
        "✕ refused API key",
        "2 at a time, 1,200 a minute 1,440 requests a day",
        "—",
        "no",
        "✕ open polled less often",
        "✕ 1 failing",
    ]
    assert page.row("two smartsight")[1:] == [
        "✓ good API key; token ends in 1 h 4 min, 21:06:40 UTC",
        "2 at a time, 1,200 a minute 1,440 requests a day",
        "17",
        "in 1 min 20:03:20 UTC",
        "closed",
        "… 1 waiting",
    ]


async def test_links_lead_to_the_other_pages_from_below_a_proxy_s_path_too(served, shown, client_of, make_query):
    shown.ask(make_query(name="a & b", source="m/m"))
    shown.end(shown.config.queries[0])
    async with client_of(app(served.metrics, "/internal/metrics", shown.state)) as client:
        page = Page((await client.get("/")).text)
        assert "./internal/metrics" in page.links
        for link in page.links:
            assert link.startswith(("./", "#")), link
            if link.startswith("./"):
                assert (await client.get(link[1:])).status_code == 200, link
        files = [attrs.get("href") or attrs["src"] for tag, attrs in page.tags if tag in ("link", "script", "img")]
        for file in files:
            response = await client.get(file[1:])
            assert (response.status_code, "immutable" in response.headers["cache-control"]) == (200, True), file


async def test_thousands_of_queries_are_told_page_by_page(get, shown, make_query):
    queries = [make_query(name=f"query-{index:04}") for index in range(1000)]
    shown.ask(*queries)
    for query in queries:
        shown.end(query, reason="timeout" if query.name.endswith("99") else "")
    first, last = await get(), await get(page="10")
    shown_first = [row for row in first.rows if len(row) == 8][1:]
    assert len(shown_first) == ROWS
    assert ["99" in row[1] for row in shown_first[:11]] == [True] * 10 + [False]
    assert "1 to 100 of 1,000 queries" in first.text
    assert "901 to 1,000 of 1,000 queries" in last.text
    assert [link for link in first.links if "page=" in link] == ["./?find=&state=&page=2"]
    assert [link for link in last.links if "page=" in link] == ["./?find=&state=&page=9"]


@pytest.mark.parametrize(
    ("params", "names"),
    [
        ({"find": "CDN"}, ["by_cdn"]),
        ({"find": "late"}, ["by_os"]),
        ({"state": "failing"}, ["by_os"]),
        ({"state": "ok", "find": "by"}, ["by_cdn"]),
        ({"state": "nonsense", "page": "nonsense"}, ["by_os", "by_cdn"]),
        ({"page": "0"}, ["by_os", "by_cdn"]),
        ({"page": "99999999999999999999999"}, ["by_os", "by_cdn"]),
        ({"find": "nothing"}, []),
    ],
)
async def test_queries_can_be_found(get, shown, make_query, params, names):
    good, bad = make_query(name="by_cdn"), make_query(name="by_os")
    shown.ask(good, bad)
    shown.end(good)
    shown.end(bad, reason="timeout", error="too late")
    page = await get(**params)
    assert [row[1].split()[0] for row in page.rows if len(row) == 8][1:] == names
    [field] = [attrs for tag, attrs in page.tags if tag == "input"]
    assert field["value"] == params.get("find", "")


# --- One query --------------------------------------------------------------------------------------------------------


async def test_a_query_s_own_page_tells_what_is_asked_and_what_came(get, shown, make_query):
    query = make_query(
        [("latency", "smartsight_startup_time_seconds", 1)],
        ["cdn"],
        filters=(("country", ("US", "Canada")),),
        labels=(("env", "prod"),),
    )
    shown.ask(query)
    shown.answer(query, [{"latency": 1.5, "cdn": "A"}, {"latency": 2, "cdn": 'B "\u2028'}])
    page = await get("/query", source="mm", name="q")
    begin, end = EVENING - 300, EVENING
    assert (
        f"GET https://vendor.example/mm-apis/metricquery/7?period=start={begin},end={end}"
        "&metrics=latency&aggby=cdn&filter=%5Bcountry=US%7CCanada%5D&orderby=latency" in page.text
    )
    assert page.row("[country=US|Canada]") == ["filter", "[country=US|Canada]"]
    assert "interval: 1m" in page.text
    assert "country: [US, Canada]" in page.text
    assert '{source="mm",query="q",env="prod"}' in page.text
    name = "smartsight_startup_time_seconds"
    assert page.row('cdn="A"') == [name, 'cdn="A"', "1.5"]
    assert page.row('cdn="B') == [name, r'cdn="B \" "', "2"]
    assert "CANARY" not in page.text


async def test_a_query_s_own_page_tells_how_its_history_stands(get, shown, make_query):
    query = make_query()
    shown.ask(query)
    page = await get("/query", source="mm", name="q")
    assert "Newest bucket" not in page.text
    refused = "the receiver refuses: HTTP 401"
    shown.deliver(query, Delivered("main", EVENING, EVENING - 60, refused, 340, 12, 0.031, 360, "`delay: 2m` is short"))
    page = await get("/query", source="mm", name="q")
    for words in ("Newest bucket", "2 min ago", "Complete until", "340", refused, "`delay: 2m` is short"):
        assert words in page.text


async def test_a_password_s_plan_level_is_shown_as_looked_up(get, shown, make_query):
    shown.ask(make_query(["latency"]), auth={"username": "u", "password": "CANARY"})
    page = await get("/query", source="mm", name="q")
    assert "planlevel=<looked up>" in page.text
    assert "CANARY" not in page.text


async def test_a_query_that_was_never_polled_shows_the_request_of_the_next_poll(get, shown, make_query):
    shown.ask(make_query(["latency"]))
    page = await get("/query", source="mm", name="q")
    assert f"period=start={EVENING - 300},end={EVENING}" in page.text
    assert "None yet: the first poll has not ended." in page.text
    assert "No poll yet" in page.text


async def test_only_the_first_series_are_shown(get, shown, make_query):
    query = make_query(["latency"], ["cdn"])
    shown.ask(query)
    shown.answer(query, [{"latency": index, "cdn": f"cdn-{index:03}"} for index in range(250)])
    page = await get("/query", source="mm", name="q")
    assert "250 in all, the first 100 of them here" in page.text
    assert sum("cdn-" in cell for row in page.rows for cell in row) == 100


async def test_the_last_polls_are_drawn_and_told(get, shown, make_query):
    query = make_query()
    shown.ask(query)
    for index in range(60):
        shown.end(query, reason="" if index % 10 else "timeout", ended=EVENING + index, duration=0.1 * index)
    page = await get("/query", source="mm", name="q")
    assert "Of the last 50 polls 5 failed; the longest took 5.9 s." in page.text
    assert page.text.count("failed (timeout)") == 5
    assert page.row("20:00:59 UTC") == ["2026-04-09 20:00:59 UTC", "ok", "5.9 s", "0"]
    assert page.row("20:00:50 UTC") == ["2026-04-09 20:00:50 UTC", "failed: timeout", "5.0 s", ""]


async def test_a_query_that_is_not_there_is_not_found(client, shown, make_query):
    shown.ask(make_query())
    for params in ({}, {"source": "mm"}, {"source": "mm", "name": "other"}, {"source": MARKUP, "name": MARKUP}):
        response = await client.get("/query", params=params)
        assert (response.status_code, "No such query" in response.text) == (404, True)
        assert "<img src=x" not in response.text


# --- Others' words ----------------------------------------------------------------------------------------------------


async def test_markup_from_the_configuration_or_a_vendor_is_shown_and_not_run(get, shown, make_query):
    query = make_query(["latency"], ["cdn"], name=MARKUP, source=MARKUP, labels=(("env", MARKUP),))
    shown.ask(query)
    shown.answer(query, [{"latency": 1, "cdn": MARKUP}])
    shown.end(query, reason="bad_request", error=MARKUP)
    for page in (await get(), await get("/query", source=MARKUP, name=MARKUP), await get(find=MARKUP)):
        assert {tag for tag, attrs in page.tags if tag == "img" and attrs["src"] == "x"} == set()
        assert not any(name.startswith("on") or name == "style" for _, attrs in page.tags for name in attrs)
        assert page.text.count(MARKUP) >= 3


async def test_a_telemetry_path_with_markup_is_escaped(served, shown, client_of):
    async with client_of(app(served.metrics, '/"><script>', shown.state)) as client:
        assert './"><script>' in Page((await client.get("/")).text).links


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(text=st.text(st.characters(exclude_characters="\r\0")))
async def test_a_vendor_s_words_never_break_a_page(make_query, served, client_of, shown, text):
    query = make_query()
    shown.ask(query)
    shown.end(query, reason="bad_request", error=f"HTTP 400: {text}")
    async with client_of(app(served.metrics, "/metrics", shown.state)) as client:
        for path in ("/", "/query?" + urlencode({"source": "mm", "name": "q"})):
            response = await client.get(path)
            assert response.status_code == 200
            assert "HTTP 400: " in Page(response.text).text


async def test_the_pages_need_nothing_that_the_policy_forbids(client, shown, make_query):
    shown.ask(make_query())
    for path in ("/", "/query?source=mm&name=q"):
        html = (await client.get(path)).text
        assert not re.search(r"<script(?! src)|<style|<iframe|\sstyle=|\son\w+=|url\(|https?://(?!vendor)", html)
        page = Page(html)
        assert len(page.ids) == len(set(page.ids))


def test_no_file_asks_another_host():
    for content in shell.FILES.values():
        text = content.replace(b"http://www.w3.org/2000/svg", b"")
        assert b"http:" not in text
        assert b"https:" not in text


# --- Words and markup -------------------------------------------------------------------------------------------------


def test_markup_is_built_safely():
    assert tag("a", "<b>", tag("i", "x"), None, href='"&', data_x=1, hidden=False, open=True, class_="y") == (
        '<a href="&quot;&amp;" data-x="1" open class="y">&lt;b&gt;<i>x</i></a>'
    )
    assert joined("<", Html("<br>")) == "&lt;<br>"
    assert void("meta", name="a") == '<meta name="a">'


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (12.4, "12 s"),
        (59.6, "1 min"),
        (179, "2 min"),
        (3600, "1 h"),
        (7500, "2 h 5 min"),
        (273_600, "3 d 4 h"),
    ],
)
def test_spans_are_as_exact_as_a_reader_wants(seconds, text):
    assert span(seconds) == text
    assert relative(1e6, 1e6 + seconds) == (f"{text} ago" if seconds else "now")
    assert relative(1e6 + seconds, 1e6) == (f"in {text}" if seconds else "now")


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "—"), (0.0004, "0 ms"), (0.25, "250 ms"), (1.26, "1.3 s"), (90.4, "90 s")]
)
def test_durations(seconds, text):
    assert took(seconds) == text


def test_counts():
    assert (number(1234567), some(1, "query"), some(2, "query"), some(0, "poll")) == (
        "1,234,567",
        "1 query",
        "2 queries",
        "0 polls",
    )


def test_another_day_is_named():
    assert "<small>20:00:00 UTC</small>" in when(EVENING, EVENING + 60)
    assert "<small>2026-04-09 20:00:00 UTC</small>" in when(EVENING, EVENING + 86_400)


ODD = [math.inf, -math.inf, math.nan, 1e300, 2.0**63, 253_402_300_800.0, -1e9]


@pytest.mark.parametrize("moment", ODD)
async def test_a_moment_that_has_no_date_does_not_cost_the_page(get, shown, make_query, moment):
    shown.ask(make_query())
    shown.standings = {"mm": Standing("ok", moment, None, moment)}
    shown.next_polls = {query.key: moment for query in shown.config.queries}
    assert re.search(r"token ends .*(23:59:59|00:00:00) UTC", (await get()).text)


def test_the_strip_tells_a_failure_by_its_height_too():
    polls = [Ended(EVENING, 1.0, "", 1), Ended(EVENING, 1.0, "timeout", 0)]
    drawn = chart.strip(polls)
    heights = dict(re.findall(r'class="(good|bad)" d="M[\d.]+ \d+v-(\d+)"', drawn))
    assert int(heights["bad"]) > int(heights["good"])
    assert 'aria-label="of the last 2 polls 1 failed"' in drawn


@pytest.mark.parametrize("longest", [0.0, 0.003, 0.07, 1.0, 1.01, 90.0, 99_999.0])
def test_no_bar_is_higher_than_the_chart(longest):
    drawn = chart.chart([Ended(EVENING, longest, "", 1)] * KEPT)
    heights = [float(height) for height in re.findall(r'class="bar" d="M[\d.]+ 120v-([\d.]+)h', drawn)]
    assert len(heights) == KEPT
    assert all(0 < height <= 120 for height in heights)
