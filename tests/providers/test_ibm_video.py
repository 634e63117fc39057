from datetime import UTC, datetime
from unittest.mock import patch

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.aggregate import Aggregate
from exporter.model import Turn, Window
from exporter.normalise import Tabulator
from exporter.providers import ibm_video
from exporter.providers.errors import BadResponse
from exporter.simulator.ibm_video import IbmVideo as Simulated

SERIES = ("total_views", "unique_devices", "authenticated_viewers")
DIMENSIONS = ("location", "country", "region", "device", "view_source")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=5), each, max_size=3),
    max_leaves=8,
)


async def whole(body):
    """Read an answer as it is."""
    return body


def series(*points):
    data = [{"type": "Series", "attributes": {"dimension_type": "d", "point": p, "value": v}} for p, v in points]
    return {"data": data, "pagination": {}}


def peaks(*rows):
    keys = ("content_type", "content_id", "value")
    return {"data": [{"type": "PeakSeries", "attributes": dict(zip(keys, row, strict=True))} for row in rows]}


def tabulated(asked, *answers):
    """Take one answer for each part, as a poll does."""
    tabulator = Tabulator(asked.query)
    for number, (part, answer) in enumerate(zip(asked.parts, answers, strict=True)):
        rows = asked.parse(answer, part=number).rows
        if part.folds:
            aggregate = Aggregate(asked.query, part)
            aggregate.add(rows)
            aggregate.finish(tabulator)
        else:
            tabulator.add(rows, part.fields)
    return tabulator.table()


def labelled(asked, *answers):
    """Tabulate one answer for each part; give label values and numbers."""
    found = tabulated(asked, *answers)
    return {row: tuple(column.values[index] for column in found.columns) for index, row in enumerate(found.rows)}


# --- What is asked --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", SERIES)
@pytest.mark.parametrize(
    ("dimensions", "types", "ends"),
    [
        ([], [], ["/summary"]),
        ([], ["live"], ["/live/summary"]),
        ([], ["recorded"], ["/recorded/summary"]),
        ([], ["live", "recorded"], ["/summary"]),
        (["content_type"], [], ["/live/summary", "/recorded/summary"]),
        (["content_type"], ["recorded"], ["/recorded/summary"]),
        (["content_type"], ["live", "recorded"], ["/live/summary", "/recorded/summary"]),
        *(([by], [], [f"/{by.replace('_', '-')}"]) for by in DIMENSIONS),
        *(([by], ["live"], [f"/live/{by.replace('_', '-')}"]) for by in DIMENSIONS),
        *(
            (["content_type", by], [], [f"/{t}/{by.replace('_', '-')}" for t in ("live", "recorded")])
            for by in DIMENSIONS
        ),
        (["device", "content_type"], ["live"], ["/live/device"]),
    ],
)
def test_a_series_has_its_path_for_each_dimension_and_content_type(ask, field, dimensions, types, ends):
    filters = {"content_type": types} if types else {}
    asked = ask("ibm_video", metrics=[field], dimensions=dimensions, filters=filters)
    assert asked.paths == [f"/{field.replace('_', '-')}{end}" for end in ends]


@pytest.mark.parametrize(
    ("dimensions", "filters", "paths"),
    [
        (["content_id"], {}, ["/peak-viewer-numbers"]),
        (["content_id"], {"content_type": "live"}, ["/peak-viewer-numbers/live"]),
        (["content_type", "content_id"], {}, ["/peak-viewer-numbers/live", "/peak-viewer-numbers/recorded"]),
        ([], {"content_type": "live", "content_id": 77569623}, ["/peak-viewer-numbers/live"]),
    ],
)
def test_peaks_have_a_path_for_each_content_type(ask, dimensions, filters, paths):
    assert ask("ibm_video", metrics=["peak_viewers"], dimensions=dimensions, filters=filters).paths == paths


@pytest.mark.parametrize(
    ("metrics", "dimensions", "filters", "paths"),
    [
        (["viewer_seconds"], [], {}, ["/viewer-seconds"]),
        (["viewer_seconds"], ["content_id"], {"content_type": "live"}, ["/viewer-seconds/live"]),
        (["viewer_seconds"], [], {"channel_id": 5}, ["/viewer-seconds/recorded/channel"]),
        (["view_segments", "watched_seconds"], ["country", "os"], {}, ["/views"]),
        (["view_sessions"], ["content_type"], {}, ["/views/live", "/views/recorded"]),
        (["active_view_segments"], [], {"channel_id": [5, 6]}, ["/views/recorded/channel"]),
        (["viewers", "videos_watched"], [], {}, ["/viewers"]),
        (["viewers"], ["content_type"], {"content_type": "recorded"}, ["/viewers/recorded"]),
        (["total_views", "view_segments"], [], {}, ["/total-views/summary", "/views"]),
    ],
)
def test_raw_views_viewers_and_seconds_have_their_paths(ask, metrics, dimensions, filters, paths):
    assert ask("ibm_video", metrics=metrics, dimensions=dimensions, filters=filters).paths == paths


@pytest.mark.parametrize("bucket", ["month", "day", "hour"])
@pytest.mark.parametrize("field", SERIES)
def test_a_calendar_bucket_is_the_last_step_of_the_path_and_no_parameter(ask, field, bucket):
    name, options = field.replace("_", "-"), {"bucket": bucket}
    asked = ask("ibm_video", metrics=[field], dimensions=["content_type"], options=options)
    assert asked.paths == [f"/{name}/live/{bucket}", f"/{name}/recorded/{bucket}"]
    assert "bucket" not in asked.params()


def test_a_content_type_that_stands_twice_is_one(ask):
    filters = {"content_type": ["live", "live"]}
    assert ask("ibm_video", metrics=["total_views"], filters=filters).paths == ["/total-views/live/summary"]


def test_each_metric_is_a_request_of_its_own(ask):
    asked = ask("ibm_video", metrics=list(SERIES), dimensions=["content_type"])
    assert asked.paths == [
        f"/{name}/{kind}/summary"
        for name in ("total-views", "unique-devices", "authenticated-viewers")
        for kind in ("live", "recorded")
    ]


def test_a_series_is_asked_for_its_period_and_the_largest_page(ask):
    asked = ask(
        "ibm_video", metrics=["total_views"], filters={"content_type": "live", "content_id": [77569623, 238589]}
    )
    assert asked.params() == {
        "date_time_from": "2026-04-09T15:52:00+00:00",
        "date_time_to": "2026-04-10T15:52:59+00:00",
        "content_id": "77569623,238589",
        "_page": "1",
        "_limit": "10000",
    }


@pytest.mark.parametrize("name", ["date_time_from", "date_time_to"])
def test_times_carry_an_offset_for_without_one_they_mean_los_angeles(ask, name):
    moment = datetime.fromisoformat(ask("ibm_video", metrics=["total_views"]).params()[name])
    assert moment.utcoffset() is not None
    assert moment.timestamp() in (1775749920, 1775836379)


def test_peaks_are_asked_by_the_minute_or_as_the_options_say(ask):
    peaks_of = {"metrics": ["peak_viewers"], "dimensions": ["content_id"]}
    assert ask("ibm_video", **peaks_of).params()["granularity"] == "minute"
    assert ask("ibm_video", **peaks_of, options={"granularity": "hour"}).params()["granularity"] == "hour"
    assert "granularity" not in ask("ibm_video", metrics=["total_views"]).params()


def test_the_cursor_is_the_page(ask):
    asked = ask("ibm_video", metrics=["total_views"])
    assert [asked.params(cursor)["_page"] for cursor in (None, 2, 17)] == ["1", "2", "17"]


def test_options_go_along_as_they_are(ask):
    options = {"brand_new": False, "other": "1.10"}
    params = ask("ibm_video", metrics=["total_views"], options=options).params()
    assert (params["brand_new"], params["other"]) == ("false", "1.10")


@pytest.mark.parametrize(
    ("option", "paths"),
    [
        ("granularity", {"/peak-viewer-numbers/live", "/viewer-seconds/live"}),
        ("list_unfinished_segments", {"/views/live", "/viewers/live"}),
        ("inclusive_range", {"/views/live"}),
        ("viewer_identifier", {"/viewers/live"}),
    ],
)
def test_an_option_goes_to_the_endpoints_that_know_it(ask, option, paths):
    every = ["total_views", "peak_viewers", "viewer_seconds", "view_segments", "viewers"]
    filters = {"content_type": "live", "content_id": 7}
    asked = ask("ibm_video", metrics=every, filters=filters, options={option: "hour"})
    given = {path: asked.params(part=number).get(option) for number, path in enumerate(asked.paths)}
    assert {path for path, value in given.items() if value == "hour"} == paths
    assert set(given.values()) <= {"hour", None}


@pytest.mark.parametrize(
    ("dimensions", "filters"),
    [
        *(([*typed, *by], {}) for typed in ([], ["content_type"]) for by in ([], *([name] for name in DIMENSIONS))),
        (["device"], {"content_type": "live", "content_id": [77569623, 238589]}),
        ([], {"content_type": "recorded"}),
    ],
)
async def test_the_simulated_vendor_answers_every_path(ask, client, clock, bounds, dimensions, filters):
    vendor = Simulated(client_id="exporter", client_secret="s3cret-of-ibm", clock=clock)
    asked = ask("ibm_video", metrics=list(SERIES), dimensions=dimensions, filters=filters)
    ibm = client(asked, httpx.ASGITransport(vendor.app))
    window = Window(int(clock.now) - 300, int(clock.now))
    for part in asked.parts:
        request = asked.provider.request(asked.query, Turn(part, window))
        await ibm.get(request, bounds, whole)
        assert (vendor.answers[-1].status, vendor.answers[-1].path) == (200, f"/v1{part.path}")
        assert vendor.answers[-1].params == dict(request.params)
        assert asked.provider.parse(asked.query, Turn(part, window), vendor.answers[-1].body).rows


# --- What is read ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("point", "label"),
    [
        ("US", "US"),
        (["US"], "US"),
        (["US", "Texas", "Austin"], "US/Texas/Austin"),
        (["US", ""], "US/unknown"),
        ([None, "Texas"], "unknown/Texas"),
        (["", ""], "unknown/unknown"),
        ([], "unknown"),
        ("", "unknown"),
        (None, "unknown"),
        (7, "7"),
        ([0, 7], "0/7"),
    ],
)
def test_a_point_is_a_name_or_several_joined_with_a_slash(ask, point, label):
    asked = ask("ibm_video", metrics=["total_views"], dimensions=["location"])
    assert labelled(asked, series((point, 11))) == {(label,): (11,)}


def test_a_point_that_is_neither_is_an_invalid_row(ask):
    asked = ask("ibm_video", metrics=["total_views"], dimensions=["location"])
    tabulator = Tabulator(asked.query)
    points = series(({"a": 1}, 1), ([{"a": 1}], 2), ([["US"]], 3), ("HU", 4))
    tabulator.add(asked.parse(points).rows, ("total_views",))
    assert tabulator.table().rows == [("HU",)]
    assert tabulator.table().dropped == {"invalid": 3}


def test_rows_of_several_metrics_and_content_types_meet_by_their_labels(ask):
    asked = ask("ibm_video", metrics=["total_views", "unique_devices"], dimensions=["content_type", "device"])
    live, recorded = series(("phone", 1), ("tv", 2)), series(("tv", 3))
    assert labelled(asked, live, recorded, series(("tv", 4)), series(("phone", 5))) == {
        ("live", "phone"): (1, None),
        ("live", "tv"): (2, 4),
        ("recorded", "tv"): (3, None),
        ("recorded", "phone"): (None, 5),
    }


def test_peaks_are_the_largest_bucket_of_each_content_whose_id_is_a_number_or_a_text(ask):
    asked = ask("ibm_video", metrics=["peak_viewers"], dimensions=["content_id"])
    answer = peaks(("live", 238589, 11), ("live", "238589", 30), ("live", 238589, None), ("recorded", "7", 5))
    assert labelled(asked, answer) == {("238589",): (30,), ("7",): (5,)}


def test_peaks_of_one_content_need_no_label(ask):
    asked = ask("ibm_video", metrics=["peak_viewers"], filters={"content_type": "live", "content_id": 7})
    assert labelled(asked, peaks(("live", 7, 11), ("live", 7, 30))) == {(): (30,)}


def test_a_bucket_that_begins_where_the_window_ends_is_not_of_it(ask):
    """The documents do not say whether ``date_time_to`` is part of the period."""
    asked = ask("ibm_video", metrics=["viewer_seconds"])
    end = asked.turn().window.end
    buckets = [
        {"attributes": {"content_id": 7, "time": datetime.fromtimestamp(at, UTC).isoformat(), "value": value}}
        for at, value in ((end - 120, 1), (end - 60, 2), (end, 4))
    ]
    assert labelled(asked, {"data": buckets}) == {(): (3,)}
    last = {"data": buckets[-1:], "pagination": {"next": {"href": "/viewer-seconds?_page=2"}}}
    assert (asked.parse(last).rows, asked.parse(last).next) == ([], 2)


@pytest.mark.parametrize(
    ("name", "metric", "dimensions", "table"),
    [
        ("series_summary", "total_views", [], {(): (11,)}),
        ("series_by_dimension", "total_views", ["device"], {("1997-07-16T00:00:00+01:00",): (11,)}),
        ("peaks", "peak_viewers", ["content_id"], {("238589",): (11,)}),
        ("views", "total_views", [], {(): (None,)}),
        ("viewers", "total_views", [], {(): (None,)}),
    ],
)
def test_the_document_s_answers_are_read_and_their_next_page_is_asked_for(
    ask, recorded, name, metric, dimensions, table
):
    asked = ask("ibm_video", metrics=[metric], dimensions=dimensions)
    answer = recorded(f"ibm_video/{name}")["answer"]
    page = asked.parse(answer)
    assert (len(page.rows), page.next) == (1, 2)
    assert page.missing > 0
    assert labelled(asked, answer) == table


# --- Paging ---------------------------------------------------------------------------------------------------------

LINKS = {
    "as documented": lambda path, page: {"href": f"{path}?_page={page}&_limit=10"},
    "absolute": lambda path, page: {"href": f"https://analytics-api.video.ibm.com/v1{path}?_page={page}"},
    "of another path": lambda _, page: {"href": f"/some-endpoint?granularity=minute&_page={page}&_limit=10"},
    "a text": lambda path, page: f"{path}?_page={page}",
}
NO_NEXT = {
    "null": {"next": None},
    "missing": {"count": 10},
    "empty": {},
    "null object": None,
    "no object": [],
    "empty link": {"next": {}},
}


def gather(asked, total, link, last):
    """Ask for page after page, as a poll does; what differs from page to page is ``_page`` alone."""
    rows, cursor, first, asked_for = [], None, asked.params(), 0
    while asked_for < 100:
        asked_for += 1
        params = asked.params(cursor)
        assert {**params, "_page": "1"} == first
        page, size = int(params["_page"]), int(params["_limit"])
        points = [(f"p{number}", number) for number in range(total)][(page - 1) * size : page * size]
        more = page * size < total
        answer = series(*points) | {"pagination": {"next": link("/total-views", page + 1)} if more else last}
        found = asked.parse(answer, cursor)
        rows += [(row["device"], row["total_views"]) for row in found.rows]
        cursor = found.next
        if cursor is None:
            return rows
    return pytest.fail("it never ends")


@given(
    total=st.integers(0, 60),
    page_size=st.integers(1, 20),
    link=st.sampled_from(sorted(LINKS)),
    last=st.sampled_from(sorted(NO_NEXT)),
)
def test_all_rows_come_with_all_parameters_on_each_page(ask, total, page_size, link, last):
    asked = ask("ibm_video", metrics=["total_views"], dimensions=["device"], filters={"content_type": "live"})
    with patch.object(ibm_video, "PAGE", page_size):
        found = gather(asked, total, LINKS[link], NO_NEXT[last])
    assert found == [(f"p{number}", number) for number in range(total)]


@pytest.mark.parametrize("pagination", NO_NEXT.values(), ids=list(NO_NEXT))
def test_without_a_next_link_a_page_is_the_last(ask, pagination):
    page = ask("ibm_video", metrics=["total_views"]).parse(series(("a", 1)) | {"pagination": pagination})
    assert (page.next, page.missing) == (None, 0)


def test_an_answer_without_pagination_is_the_last_page(ask):
    answer = series(("a", 1))
    del answer["pagination"]
    assert ask("ibm_video", metrics=["total_views"]).parse(answer).next is None


def test_an_empty_page_ends_whatever_it_links_to(ask):
    answer = series() | {"pagination": {"next": {"href": "/views?_page=2"}}}
    assert ask("ibm_video", metrics=["total_views"]).parse(answer).next is None


# --- What is not promised -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [None, [], "text", 7, {}, {"data": None}, {"data": {}}, {"errors": []}])
def test_an_answer_without_a_list_of_data_is_a_bad_response(ask, answer):
    with pytest.raises(BadResponse, match="no list `data`"):
        ask("ibm_video", metrics=["total_views"]).parse(answer)


VIEW = ("content_id", "content_type", "view_id", "view_session_id", "viewer_identifier", "started_at", "finished_at")
ATTRIBUTES = st.fixed_dictionaries(
    {}, optional=dict.fromkeys((*VIEW, "point", "value", "time", "device_info", "os", "videos_watched"), JSON)
)


@given(
    answer=JSON,
    data=st.lists(JSON | st.fixed_dictionaries({"attributes": JSON | ATTRIBUTES}), max_size=3),
    pagination=JSON,
)
def test_whatever_json_comes_is_a_page_or_a_bad_response(ask, answer, data, pagination):
    for asked in (
        ask("ibm_video", metrics=["total_views"], dimensions=["device"]),
        ask("ibm_video", metrics=["total_views"], options={"bucket": "day"}),
        ask("ibm_video", metrics=["peak_viewers"], dimensions=["content_id"]),
        ask("ibm_video", metrics=["viewer_seconds"]),
        ask("ibm_video", metrics=["view_segments", "view_sessions", "watched_seconds"], dimensions=["os"]),
        ask("ibm_video", metrics=["viewers", "videos_watched"]),
    ):
        assert len(asked.parse({"data": data, "pagination": pagination}).rows) == len(data)
        tabulated(asked, {"data": data})
        if not (isinstance(answer, dict) and isinstance(answer.get("data"), list)):
            with pytest.raises(BadResponse):
                asked.parse(answer)


def test_an_item_that_is_no_object_or_has_no_attributes_is_an_invalid_row(ask):
    asked = ask("ibm_video", metrics=["total_views"])
    tabulator = Tabulator(asked.query)
    data = [None, "text", {}, {"attributes": None}, {"attributes": {"point": "summary", "value": 11}}]
    tabulator.add(asked.parse({"data": data}).rows, ("total_views",))
    assert tabulator.table().dropped == {"invalid": 4}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (
            {"errors": [{"status": 400, "title": "Bad Request", "detail": "no such id", "source": {"pointer": "/x"}}]},
            "Bad Request: no such id",
        ),
        ({"errors": [{"title": "One"}, {"detail": "Two"}, {"status": 400}, "junk"]}, "One; Two"),
        ({"errors": {}}, ""),
        ({}, ""),
        (None, ""),
    ],
)
def test_an_error_is_told_in_the_vendor_s_words(ask, body, words):
    assert ask("ibm_video", metrics=["total_views"]).provider.explain(body).strip("; ") == words


@given(body=JSON, errors=st.lists(JSON, max_size=2), text=JSON)
def test_an_error_of_any_shape_is_told_without_a_second_one(ask, body, errors, text):
    explain = ask("ibm_video", metrics=["total_views"]).provider.explain
    for each in (body, {"errors": errors}, {"errors": [{"title": text, "detail": text}]}):
        assert isinstance(explain(each), str)


# --- What a query is called, and secrets ----------------------------------------------------------------------------


def test_the_endpoint_of_a_query_names_each_path_once(written):
    query = written(fields=("total_views", "peak_viewers", "total_views"))
    assert ibm_video.IbmVideo.endpoint(query) == "total-views,peak-viewer-numbers"


@pytest.mark.parametrize(
    ("secret", "count"),
    [
        ({"client_secret": "s"}, 0),
        ({"client_secret_file": "/s"}, 0),
        ({}, 1),
        ({"client_secret": "s", "client_secret_file": "/s"}, 1),
    ],
)
def test_a_source_has_one_secret(secret, count):
    settings = ibm_video.IbmVideoSettings(type="ibm_video", auth={"client_id": "id", **secret})
    assert len(list(ibm_video.IbmVideo.faults(settings))) == count


def test_the_secret_shows_in_no_repr(ask):
    asked = ask("ibm_video", metrics=["total_views"])
    texts = [repr(thing) for thing in (asked.provider.settings, asked.provider.credentials, asked.provider)]
    assert "s3cret-of-ibm" not in "".join(texts)
