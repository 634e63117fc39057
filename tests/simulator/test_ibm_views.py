from datetime import datetime

import pytest

from exporter.simulator.audience import CHANNELS, CONTENTS

EVENING = 1_775_764_800
END = EVENING + 300
VIEW = {
    *("view_id", "content_type", "content_id", "started_at", "finished_at", "from", "to", "country", "city"),
    *("is_mobile_view", "view_type", "client_id", "view_session_id", "device_info"),
}


@pytest.fixture
def views(rows):
    async def views(kind="", **params):
        return await rows(f"/views{kind}", 300, **params)

    return views


def second(text):
    return datetime.fromisoformat(text).timestamp()


def within(view, end=END):
    """Give the seconds of a view that lie in the window; an unfinished one is taken to last."""
    finished = second(view["finished_at"]) if view["finished_at"] else end
    return max(0, min(finished, end) - max(second(view["started_at"]), EVENING))


@pytest.mark.parametrize(
    ("path", "parameter", "value"),
    [
        ("/views", "content_id", "238589"),
        ("/views", "viewer_identifier", "x"),
        ("/views", "granularity", "minute"),
        ("/views", "list_unfinished_segments", "1"),
        ("/views", "inclusive_range", "True"),
        ("/views", "channel_id", "238589"),
        ("/views", "date_time_from", "2026-04-09T20:00:00"),
        ("/views", "_limit", "10001"),
        ("/views/live", "content_id", "x"),
        ("/views/recorded/channel", "channel_id", ""),
        ("/views/recorded/channel", "channel_id", None),
        ("/views/recorded/channel", "content_id", "112342345"),
        ("/viewers", "inclusive_range", "true"),
        ("/viewers", "content_id", "238589"),
        ("/viewer-seconds", "granularity", "week"),
        ("/viewer-seconds", "content_id", "238589"),
        ("/viewer-seconds", "list_unfinished_segments", "true"),
        ("/viewer-seconds/recorded/channel", "channel_id", None),
        ("/viewer-seconds/live/summary", "content_id", None),
        ("/viewer-seconds/live/summary", "content_id", "77569623,238589"),
        ("/viewer-seconds/live/summary", "granularity", "minute"),
        ("/peak-viewer-numbers/live/summary", "content_id", None),
        ("/peak-viewer-numbers/live/summary", "content_id", "77569623,238589"),
        ("/peak-viewer-numbers/live/summary", "granularity", "minute"),
    ],
)
async def test_a_wrong_parameter_is_refused(api, period, path, parameter, value):
    good = {"channel_id": "238589"} if path.endswith("/channel") else {}
    good |= {"content_id": "238589"} if path.endswith("/summary") else {}
    params = {name: each for name, each in {**period(), **good, parameter: value}.items() if each is not None}
    status, body = await api(path, **params)
    assert (status, body["errors"][0]["source"]) == (400, {"pointer": f"/{parameter}"})


@pytest.mark.parametrize(
    "path",
    ["/views/vod", "/views/live/channel", "/viewers/x", "/viewer-seconds/summary", "/peak-viewer-numbers/summary"],
)
async def test_an_unknown_path_is_not_found(api, period, path):
    assert (await api(path, **period()))[0] == 404


@pytest.mark.parametrize("path", ["/views", "/viewers/live", "/viewer-seconds", "/views/recorded/channel"])
async def test_a_token_is_needed(ibm_http, period, path):
    answer = await ibm_http.get(f"/v1{path}", params=period())
    assert answer.status_code == 401


async def test_a_view_has_every_documented_attribute(views):
    found = await views()
    assert 200 < len(found) < 2000
    assert len({view["view_id"] for view in found}) == len(found) > len({view["view_session_id"] for view in found})
    assert all(view.keys() - {"viewer_identifier"} == VIEW for view in found)
    assert all(view["device_info"].keys() == {"browser", "os", "device"} for view in found)
    assert all(view["device_info"][part]["family"] for view in found for part in ("browser", "os", "device"))
    assert {type(view["content_id"]) for view in found} == {int, str}
    assert {view["started_at"][-6:] for view in found} == {"+00:00", "+01:00"}
    assert {view["view_type"] for view in found} == {"onsite", "offsite"}
    assert {view["is_mobile_view"] for view in found} == {True, False}
    assert await views() == found


async def test_a_viewer_may_be_unknown(views):
    found = await views()
    names = [view["viewer_identifier"] for view in found if view.get("viewer_identifier")]
    assert 0.4 * len(found) < len(names) < 0.8 * len(found)
    assert {"@" in name for name in names} == {True, False}
    assert any("viewer_identifier" not in view for view in found)
    assert any(view.get("viewer_identifier", "") is None for view in found)


async def test_segments_lie_across_the_bounds(views, ibm):
    def edges(found):
        return {
            (second(view["started_at"]) < EVENING, second(view["finished_at"]) > END)
            for view in found
            if view["finished_at"]
        }

    found = await views()
    assert edges(found) == {(False, False), (False, True), (True, False), (True, True)}
    assert all(second(view["started_at"]) < END for view in found)
    assert all(within(view) > 0 for view in found)
    ibm.spanning = False
    assert edges(await views()) == {(False, False), (False, True), (True, False)}


async def test_the_flags(views, clock):
    found = await views()
    finished = [view for view in found if view["finished_at"]]
    assert len(finished) < len(found)
    assert await views(list_unfinished_segments="false") == finished
    inside = [v for v in finished if second(v["started_at"]) >= EVENING and second(v["finished_at"]) <= END]
    assert await views(inclusive_range="false") == inside != []
    clock.now = float(END)
    now = await views()
    assert [view["view_id"] for view in now] == [view["view_id"] for view in found]
    assert all(view["finished_at"] is None for view in now if second(view["started_at"]) >= END - 5)
    assert all(view["finished_at"] is None or second(view["finished_at"]) <= END for view in now)
    clock.now = float(EVENING - 1)
    assert await views() == []


async def test_types_contents_and_channels(views):
    live, recorded = await views("/live"), await views("/recorded")
    assert len(live) + len(recorded) == len(await views())
    assert {view["content_type"] for view in live} == {"live"}
    assert {view["from"] for view in live} == {view["to"] for view in live} == {0}
    assert any(0 < view["from"] < view["to"] for view in recorded)
    one = await views("/live", content_id="238589")
    assert {int(view["content_id"]) for view in one} == {238589}
    of_channels = [await views("/recorded/channel", channel_id=str(channel)) for channel in CHANNELS]
    assert sum(map(len, of_channels)) == len(recorded)
    assert await views("/recorded/channel", channel_id=",".join(map(str, CHANNELS))) != []
    assert await views("/recorded/channel", channel_id="7") == []


async def test_every_video_has_one_channel():
    videos = [video for each in CHANNELS.values() for video in each]
    assert sorted(videos) == sorted(number for number, content in CONTENTS.items() if content.kind == "recorded")
    assert all(CONTENTS[channel].kind == "live" for channel in CHANNELS)


async def test_paging_gives_every_view_once(api, views, period):
    found, page, path = [], 1, "/views/live"
    while page:
        _, body = await api(path, **period(300), _page=str(page), _limit="100")
        assert {row["type"] for row in body["data"]} == {"View"}
        found += [row["attributes"] for row in body["data"]]
        link = body["pagination"]["next"]
        assert link in (None, {"href": f"{path}?_page={page + 1}&_limit=100"})
        page = page + 1 if link else 0
    assert found == await views("/live")


@pytest.mark.parametrize("kind", ["", "/live", "/recorded"])
async def test_viewers_are_those_of_the_views(rows, views, kind):
    named = [view for view in await views(kind) if view.get("viewer_identifier")]
    viewers = await rows(f"/viewers{kind}", 300)
    assert {viewer["viewer_identifier"] for viewer in viewers} == {view["viewer_identifier"] for view in named}
    segments = [segment for viewer in viewers for segment in viewer["segments"]]
    assert {segment["id"] for segment in segments} == {view["view_id"] for view in named}
    assert all(segment.keys() == (VIEW - {"view_id"}) | {"id"} for segment in segments)
    for viewer in viewers:
        assert viewer.keys() == {"last_activity", "segments", "videos_watched", "viewer_identifier"}
        assert viewer["videos_watched"] == len({segment["content_id"] for segment in viewer["segments"]})
        assert second(viewer["last_activity"]) >= max(second(each["started_at"]) for each in viewer["segments"])


async def test_viewers_can_be_searched(rows):
    everyone = await rows("/viewers", 300)
    found = await rows("/viewers", 300, viewer_identifier="crm-")
    assert found == [viewer for viewer in everyone if "crm-" in viewer["viewer_identifier"]] != []
    finished = await rows("/viewers", 300, list_unfinished_segments="false")
    assert all(segment["finished_at"] for viewer in finished for segment in viewer["segments"])
    one = await rows("/viewers/live", 300, content_id="238589")
    assert {segment["content_id"] for viewer in one for segment in viewer["segments"]} == {238589}
