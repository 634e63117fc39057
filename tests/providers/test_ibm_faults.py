import pytest

from exporter.providers.ibm_video import IbmVideo

SERIES = ("total_views", "unique_devices", "authenticated_viewers")
VIEWS = ("view_segments", "active_view_segments", "view_sessions", "watched_seconds")
BY_CONTENT = ("peak_viewers", "viewer_seconds")
BY_VIEWER = ("viewers", "videos_watched")

TAKEN = {
    **dict.fromkeys(SERIES, ("location", "country", "region", "device", "view_source")),
    **dict.fromkeys(BY_CONTENT, ("content_id",)),
    **dict.fromkeys(VIEWS, ("content_id", "country", "city", "view_type", "is_mobile_view", "browser", "os", "device")),
    **dict.fromkeys(BY_VIEWER, ()),
}
"""The contract's dimensions of each metric, besides ``content_type``."""
DIMENSIONS = sorted({dimension for dimensions in TAKEN.values() for dimension in dimensions})


@pytest.fixture(scope="session")
def faults(written):
    def faults(**query):
        return list(IbmVideo.query_faults(written(**{"fields": ("total_views",), **query}), None))

    return faults


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ({"fields": None}, ("metrics",)),
        ({"fields": ("total_view",)}, ("metrics", 0)),
        ({"fields": ("total_views", "latency")}, ("metrics", 1)),
        ({"dimensions": ("city",)}, ("metrics", 0)),
        ({"dimensions": ("content_id",)}, ("metrics", 0)),
        ({"dimensions": ("device", "country")}, ("metrics", 0)),
        ({"filters": {"country": ("HU",)}}, ("filters", "country")),
        ({"filters": {"content_type": ("vod",)}}, ("filters", "content_type")),
        ({"filters": {"content_id": ("7",)}}, ("filters", "content_id")),
        ({"filters": {"content_id": ("7",), "content_type": ("live", "recorded")}}, ("filters", "content_id")),
        ({"fields": ("peak_viewers",)}, ("metrics", 0)),
        (
            {"fields": ("peak_viewers",), "filters": {"content_id": ("7", "8"), "content_type": ("live",)}},
            ("metrics", 0),
        ),
        ({"fields": ("peak_viewers",), "dimensions": ("device", "content_id")}, ("metrics", 0)),
        ({"options": {"_page": "2"}}, ("options", "_page")),
        ({"options": {"_limit": "2"}}, ("options", "_limit")),
        ({"options": {"date_time_from": "2026"}}, ("options", "date_time_from")),
        ({"options": {"content_id": "7"}}, ("options", "content_id")),
        ({"options": {"channel_id": "7"}}, ("options", "channel_id")),
        ({"options": {"bucket": "week"}}, ("options", "bucket")),
        ({"options": {"bucket": "day"}, "dimensions": ("device",)}, ("options", "bucket")),
        ({"options": {"bucket": "day"}, "fields": ("total_views", "viewer_seconds")}, ("metrics", 1)),
        ({"filters": {"channel_id": ("7",)}}, ("metrics", 0)),
        ({"filters": {"channel_id": ("7",)}, "fields": ("viewers",)}, ("metrics", 0)),
        (
            {"filters": {"channel_id": ("7",), "content_type": ("live",)}, "fields": ("viewer_seconds",)},
            ("filters", "channel_id"),
        ),
        ({"filters": {"channel_id": ("7,8",)}, "fields": ("viewer_seconds",)}, ("filters", "channel_id")),
        ({"having": "latency>3"}, ("having",)),
        ({"endpoint": "metricquery"}, ("endpoint",)),
        ({"buckets": {"total_views": (1.0,)}}, ("buckets",)),
        ({"exemplars": True}, ("exemplars",)),
    ],
)
def test_what_the_api_has_no_path_for_is_a_fault(faults, query, path):
    assert [fault.path for fault in faults(**query)] == [path]


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"dimensions": ("content_type", "view_source")},
        {"filters": {"content_id": ("7",), "content_type": ("live",)}},
        {"filters": {"content_id": ("7",)}, "dimensions": ("content_type",)},
        {"fields": ("peak_viewers",), "dimensions": ("content_id",)},
        {"fields": ("peak_viewers",), "filters": {"content_id": ("7",), "content_type": ("live",)}},
        {"fields": BY_VIEWER, "dimensions": ("content_type",)},
        {"fields": VIEWS, "dimensions": TAKEN["view_segments"]},
        {"fields": ("viewer_seconds",)},
        {"fields": (*VIEWS, "viewer_seconds"), "filters": {"channel_id": ("7", "8")}},
        {"fields": ("view_segments",), "filters": {"channel_id": ("7",), "content_type": ("recorded",)}},
        *({"fields": SERIES, "options": {"bucket": bucket}} for bucket in ("month", "day", "hour")),
        {"options": {"bucket": "day"}, "dimensions": ("content_type",)},
    ],
)
def test_what_the_api_has_a_path_for_is_none(faults, query):
    assert faults(**query) == []


@pytest.mark.parametrize("dimension", DIMENSIONS)
@pytest.mark.parametrize("field", TAKEN)
def test_each_metric_is_split_by_the_contract_s_dimensions_and_no_others(faults, field, dimension):
    ids = {"content_type": ("live",), "content_id": ("7",)}
    found = faults(fields=(field,), dimensions=("content_type", dimension), filters=ids)
    assert [fault.path for fault in found] == ([] if dimension in TAKEN[field] else [("metrics", 0)])
    assert all(f"`{dimension}`" in fault.message for fault in found)


def test_an_unknown_metric_is_told_with_all_that_there_are(faults):
    [fault] = faults(fields=("view_segment",))
    assert "did you mean `view_segments`?" in fault.message
    assert all(field in fault.message for field in TAKEN)
