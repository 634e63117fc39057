import contextlib
import json
from pathlib import Path
from unittest.mock import patch
from urllib.parse import parse_qsl

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.model import ROW_ID, Turn, Window
from exporter.providers import smartsight
from exporter.providers.errors import BadResponse
from exporter.providers.smartsight import _numbered
from exporter.simulator.smartsight import SmartSight as Simulated

PERIOD = "start=1775749920,end=1775836379"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=5), each, max_size=3),
    max_leaves=8,
)


# --- What is asked --------------------------------------------------------------------------------------------------


async def whole(body):
    """Read an answer as it is."""
    return body


def test_a_query_asks_for_its_period_and_metrics_and_for_the_rows_in_a_fixed_order(ask):
    asked = ask("smartsight", metrics=["latency", "viewercount"])
    assert asked.request().endpoint == "metricquery"
    assert asked.request().path == "/mm-apis/metricquery/199493832"
    assert asked.params() == {
        "period": PERIOD,
        "metrics": "latency,viewercount",
        "orderby": "latency",
        "order": "desc",
        "limit": "1000",
        "offset": "0",
    }


def test_every_key_of_a_query_has_its_parameter(ask):
    asked = ask(
        "smartsight",
        metrics=["latency", "p95_latency", "bufferingratio", "viewercount"],
        dimensions=["cdn", "country"],
        filters={"country": ["US", "Canada"], "platform": "Android"},
        having="latency>3 AND bufferingratio>5",
        top=50,
        order_by="viewercount",
        order="asc",
        options={"sessiontype": "started", "allstatus": 1, "businesserror": False, "planlevel": 2735},
    )
    assert asked.params() == {
        "period": PERIOD,
        "metrics": "latency,p95_latency,bufferingratio,viewercount",
        "aggby": "cdn,country",
        "filter": "[country=US|Canada][platform=Android]",
        "qoefilter": "latency>3 AND bufferingratio>5",
        "orderby": "viewercount",
        "order": "asc",
        "limit": "50",
        "offset": "0",
        "sessiontype": "started",
        "allstatus": "1",
        "businesserror": "false",
        "planlevel": "2735",
    }


@pytest.mark.parametrize(
    ("filters", "text"),
    [
        ({"country": "US"}, "[country=US]"),
        ({"cdn": ["Akamai", "Fastly", "CDN 77"]}, "[cdn=Akamai|Fastly|CDN 77]"),
        ({"assetname": "Ünïcode & <more>, 100%"}, "[assetname=Ünïcode & <more>, 100%]"),
        ({"os": "iOS", "country": ["NO", "DE"]}, "[os=iOS][country=NO|DE]"),
        ({"live": True, "level": 7}, "[live=true][level=7]"),
    ],
)
def test_values_of_one_dimension_are_alternatives_and_brackets_are_anded(ask, filters, text):
    assert ask("smartsight", metrics=["views"], filters=filters).params()["filter"] == text


@pytest.mark.parametrize(
    ("top", "cursor", "limit"),
    [(None, None, 1000), (None, 1000, 1000), (10, None, 10), (1000, None, 1000), (2500, None, 1000), (2500, 2000, 500)],
)
def test_a_page_is_a_thousand_rows_or_what_top_leaves(ask, top, cursor, limit):
    params = ask("smartsight", metrics=["views"], **({"top": top} if top else {})).params(cursor)
    assert (params["limit"], params["offset"]) == (str(limit), str(cursor or 0))


def test_the_host_may_be_another_one_and_end_in_a_slash(ask):
    asked = ask("smartsight", source={"base_url": "https://smartsight3.mediamelon.com/"}, metrics=["views"])
    assert asked.provider.base_url == "https://smartsight3.mediamelon.com"


async def test_what_goes_over_the_wire_is_what_the_documents_show(ask, client, peer, bounds):
    vendor = peer(httpx.Response(200, json={}))
    asked = ask("smartsight", metrics=["latency", "viewercount"], filters={"country": ["US", "Canada"]})
    await client(asked, vendor.transport).get(asked.request(), bounds, whole)
    [url] = [request.url for request in vendor.requests]
    assert (url.scheme, url.host, url.path) == ("https", "smartsight.mediamelon.com", "/mm-apis/metricquery/199493832")
    assert parse_qsl(url.query.decode(), strict_parsing=True) == list(asked.params().items())


async def test_the_simulated_vendor_takes_every_part_of_a_query(ask, client, clock, bounds):
    vendor = Simulated(api_key="k3y-of-smartsight", customer_id=199493832, clock=clock)
    asked = ask(
        "smartsight",
        metrics=["viewercount", "p95_latency", "adfillrate"],
        dimensions=["country", "device"],
        filters={"platform": ["Android", "iOS"]},
        having="latency>0 AND bufferingratio>=0",
        top=5,
        options={"sessiontype": "started", "allstatus": 1, "businesserror": True, "concurrency": 0},
    )
    window = Window(int(clock.now) - 300, int(clock.now))
    request = asked.provider.request(asked.query, Turn(asked.parts[0], window))
    await client(asked, httpx.ASGITransport(vendor.app)).get(request, bounds, whole)
    [answer] = vendor.answers
    assert (answer.status, answer.params) == (200, dict(request.params))
    page = asked.parse(answer.body)
    assert len(page.rows) == 5
    assert page.next is None


# --- The documents' examples ----------------------------------------------------------------------------------------

GAUGES = ("/mm-apis/metricquery", "/mm-apis/session", "/mm-apis/qbrData", "/mm-apis/error")
EXAMPLES = tuple(
    path.stem
    for path in sorted((Path(__file__).parents[1] / "fixtures" / "smartsight").glob("*.json"))
    if json.loads(path.read_text()).get("request", {}).get("path", "").startswith(GAUGES)
)


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_query_like_the_document_s_asks_for_the_same_and_reads_its_rows(ask, recorded, name):
    example = recorded(f"smartsight/{name}")
    params, answer = example["request"]["params"], example["answer"]
    dimensions = params.get("aggby", "").split(",") if "aggby" in params else []
    metrics = [field for field in params["metrics"].split(",") if field not in dimensions]
    asked = ask("smartsight", metrics=metrics, dimensions=dimensions)
    own = asked.provider.request(asked.query, Turn(asked.parts[0], Window(1729666800, 1730271600)))
    assert dict(own.params)["period"] == params.get("period", "start=1729666800,end=1730271600")
    assert dict(own.params)["metrics"].split(",") == metrics
    assert dict(own.params).get("aggby") == params.get("aggby")
    page = asked.parse(answer)
    assert list(page.rows) == answer["response"]
    assert (page.next is None) == (len(page.rows) == answer["totalrecords"])


def test_the_next_page_begins_where_the_rows_end_whatever_pagecount_says(ask, recorded):
    answer = recorded("smartsight/response_structure")["answer"]
    answer["response"] = answer["response"][:1] * 25
    page = ask("smartsight", metrics=["latency"], dimensions=["country"]).parse(answer)
    assert (page.next, page.missing) == (25, 75)


# --- Paging ---------------------------------------------------------------------------------------------------------


class Vendor:
    """Answers as the documents say, but for what it lies about; counts what it is asked."""

    def __init__(self, total, *, cap=10**6, totalrecords=lambda total: total, pagecount=None):
        self.rows = [{"cdn": f"c{number}", "views": number} for number in range(total)]
        self.cap, self.totalrecords, self.pagecount, self.asked = cap, totalrecords, pagecount, 0

    def __call__(self, params):
        self.asked += 1
        offset, limit = int(params["offset"]), min(int(params["limit"]), self.cap)
        rows = self.rows[offset : offset + limit]
        answer = {"totalcount": len(rows), "pagecount": self.pagecount, "response": rows}
        total = self.totalrecords(len(self.rows))
        return answer if total == "left out" else answer | {"totalrecords": total}


def gather(asked, vendor, page_size):
    """Ask for page after page, as a poll does."""
    rows, cursor = [], None
    with patch.object(smartsight, "PAGE", page_size):
        while vendor.asked < 200:
            page = asked.parse(vendor(asked.params(cursor)), cursor)
            rows += page.rows
            cursor = page.next
            if cursor is None:
                return rows
    return pytest.fail("it never ends")


ANY = st.none() | st.integers() | st.text(max_size=3)


@given(
    total=st.integers(0, 60),
    page_size=st.integers(1, 20),
    cap=st.integers(1, 20),
    pagecount=ANY,
    totalrecords=st.sampled_from([lambda total: total, str, lambda total: f" {total} "]),
)
def test_all_rows_come_for_any_total_any_page_size_and_any_pagecount(
    ask, total, page_size, cap, pagecount, totalrecords
):
    vendor = Vendor(total, cap=cap, totalrecords=totalrecords, pagecount=pagecount)
    assert gather(ask("smartsight", metrics=["views"], dimensions=["cdn"]), vendor, page_size) == vendor.rows
    assert vendor.asked <= -(-total // min(page_size, cap)) + 1


@given(
    total=st.integers(0, 60),
    page_size=st.integers(1, 20),
    totalrecords=st.sampled_from(["left out", None, "", "many", [], {}, 1.5, "1.5"]),
)
def test_without_a_usable_totalrecords_a_short_page_is_the_last(ask, total, page_size, totalrecords):
    vendor = Vendor(total, totalrecords=lambda _: totalrecords)
    assert gather(ask("smartsight", metrics=["views"], dimensions=["cdn"]), vendor, page_size) == vendor.rows
    assert vendor.asked == total // page_size + 1


@pytest.mark.parametrize("totalrecords", [0, "0", -1, 3])
def test_a_totalrecords_below_the_rows_that_came_is_not_believed_while_pages_are_full(ask, totalrecords):
    vendor = Vendor(45, totalrecords=lambda _: totalrecords)
    assert gather(ask("smartsight", metrics=["views"], dimensions=["cdn"]), vendor, 10) == vendor.rows


@given(
    total=st.integers(0, 60),
    page_size=st.integers(1, 20),
    top=st.integers(1, 70),
    totalrecords=st.sampled_from([lambda total: total, str, lambda _: "left out"]),
)
def test_top_asks_for_no_more_than_its_rows_and_leaves_nothing_missing(ask, total, page_size, top, totalrecords):
    vendor = Vendor(total, totalrecords=totalrecords)
    asked = ask("smartsight", metrics=["views"], dimensions=["cdn"], top=top)
    assert gather(asked, vendor, page_size) == vendor.rows[:top]
    assert vendor.asked <= -(-top // page_size) + 1


def test_a_short_page_is_the_last_with_top_too_where_totalrecords_is_missing(ask):
    vendor = Vendor(7, totalrecords=lambda _: "left out")
    assert gather(ask("smartsight", metrics=["views"], dimensions=["cdn"], top=50), vendor, 1000) == vendor.rows
    assert vendor.asked == 1


def test_a_vendor_that_sends_more_than_top_rows_is_cut(ask):
    asked = ask("smartsight", metrics=["views"], dimensions=["cdn"], top=2)
    page = asked.parse({"totalrecords": 9, "response": [{"views": number} for number in range(9)]})
    assert (list(page.rows), page.next, page.missing) == ([{"views": 0}, {"views": 1}], None, 0)


@pytest.mark.parametrize(
    ("totalrecords", "missing"), [(2500, 1500), ("2500", 1500), (1000, 0)], ids=["number", "text", "no more"]
)
def test_missing_is_what_totalrecords_says_less_what_came(ask, totalrecords, missing):
    rows = [{"views": 1}] * 1000
    page = ask("smartsight", metrics=["views"]).parse({"totalrecords": totalrecords, "response": rows})
    assert page.missing == missing


def test_an_empty_answer_is_a_page_without_rows(ask):
    page = ask("smartsight", metrics=["views"]).parse(
        {"totalcount": 0, "pagecount": 0, "totalrecords": 0, "response": []}
    )
    assert (list(page.rows), page.next, page.missing) == ([], None, 0)


# --- What is not promised -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [None, [], "text", 7, {}, {"response": None}, {"response": {}}, {"detail": "no"}])
def test_an_answer_without_a_list_of_rows_is_a_bad_response(ask, answer):
    with pytest.raises(BadResponse, match="no list `response`"):
        ask("smartsight", metrics=["views"]).parse(answer)


@given(answer=JSON, rows=st.lists(JSON, max_size=3))
def test_whatever_json_comes_is_a_page_or_a_bad_response(ask, answer, rows):
    asked = ask("smartsight", metrics=["views"], top=2)
    with contextlib.nullcontext() if rows else contextlib.suppress(BadResponse):  # no rows, though some are promised
        asked.parse({**(answer if isinstance(answer, dict) else {"totalrecords": answer}), "response": rows})
    if not (isinstance(answer, dict) and isinstance(answer.get("response"), list)):
        with pytest.raises(BadResponse):
            asked.parse(answer)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"detail": "Query timed out"}, "Query timed out"),
        (
            {
                "detail": [
                    {"type": "value_error", "loc": ["query", "metrics"], "msg": "unknown name 'latenzy'"},
                    {"type": "missing", "loc": ["query", "period"], "msg": "Field required"},
                ]
            },
            "metrics: unknown name 'latenzy'; period: Field required",
        ),
        ({"detail": [{"msg": "no place"}, "a text"]}, "no place; a text"),
        ({"detail": {}}, ""),
        ({}, ""),
        ([], ""),
        (None, ""),
    ],
)
def test_an_error_is_told_in_the_vendor_s_words(ask, body, words):
    assert ask("smartsight", metrics=["views"]).provider.explain(body) == words


@given(detail=JSON, loc=JSON)
def test_an_error_of_any_shape_is_told_without_a_second_one(ask, detail, loc):
    explain = ask("smartsight", metrics=["views"]).provider.explain
    for body in (detail, {"detail": detail}, {"detail": [detail, {"loc": loc, "msg": detail}]}):
        assert isinstance(explain(body), str)


# --- Secrets --------------------------------------------------------------------------------------------------------


def test_the_key_shows_in_no_repr(ask):
    asked = ask("smartsight", metrics=["views"])
    texts = [repr(thing) for thing in (asked.provider.settings, asked.provider.credentials, asked.provider)]
    assert "k3y-of-smartsight" not in "".join(texts)


def test_equal_alerts_on_a_page_are_several_and_on_the_next_page_the_same():
    alert = {"severity": "high", "starttime": 1}
    first, second = ([row[ROW_ID] for row in _numbered([alert] * number)] for number in (2, 1))
    assert len(set(first)) == 2
    assert second == first[:1]
