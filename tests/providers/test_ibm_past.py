import pytest

from exporter.model import ROW_TIME, Turn, Window
from exporter.providers.base import NoHistory

START = 1_775_764_800  # 2026-04-09 20:00 UTC
HOUR, DAY = 3600, 86_400


def requests(asked, step):
    """How the past is asked for, and the path and parameters of each request for its first span."""
    past = asked.provider.past(asked.query, step)
    window = Window(START, START + past.span)
    found = [asked.provider.request(past.asked, Turn(part, window)) for part in past.parts]
    return past, [(request.path, dict(request.params)) for request in found]


def test_counted_series_are_asked_for_by_the_hour_as_their_dimension(ask):
    asked = ask("ibm_video", metrics=["total_views", "unique_devices"], dimensions=["content_type"])
    past, found = requests(asked, HOUR)
    assert [path for path, _ in found] == [
        f"/{name}/{kind}/hour" for name in ("total-views", "unique-devices") for kind in ("live", "recorded")
    ]
    assert found[0][1] == {
        "date_time_from": "2026-04-09T20:00:00+00:00",
        "date_time_to": "2026-04-16T20:00:00+00:00",
        "_page": "1",
        "_limit": "10000",
    }
    assert past.span == 168 * HOUR


@pytest.mark.parametrize(
    ("dimensions", "step", "path"),
    [
        ([], 300, "/total-views/summary"),
        ([], DAY, "/total-views/summary"),
        (["country"], HOUR, "/total-views/country"),
        (["country"], DAY, "/total-views/country"),
    ],
)
def test_beside_another_dimension_or_another_step_a_bucket_is_a_period(ask, dimensions, step, path):
    asked = ask("ibm_video", metrics=["total_views"], dimensions=dimensions)
    past, found = requests(asked, step)
    assert [each for each, _ in found] == [path]
    assert past.span == past.step == step


@pytest.mark.parametrize(
    ("step", "granularity", "buckets"),
    [(60, "minute", 200), (600, "minute", 20), (HOUR, "hour", 168), (DAY, "hour", 7)],
)
@pytest.mark.parametrize("metric", ["peak_viewers", "viewer_seconds"])
def test_peaks_and_seconds_are_asked_for_by_a_granularity_that_the_step_is_made_of(
    ask, metric, step, granularity, buckets
):
    asked = ask("ibm_video", metrics=[metric], dimensions=["content_id"], options={"granularity": "day"})
    past, [(_, params)] = requests(asked, step)
    assert params["granularity"] == granularity
    assert past.span == buckets * step


def test_few_contents_leave_room_for_more_buckets_a_page(ask):
    asked = ask("ibm_video", metrics=["peak_viewers"], filters={"content_type": "live", "content_id": [1]})
    assert asked.provider.past(asked.query, 60).span == 10_000 * 60


@pytest.mark.parametrize("metric", ["view_segments", "viewers"])
def test_views_and_viewers_are_asked_for_bucket_by_bucket(ask, metric):
    asked = ask("ibm_video", metrics=[metric])
    past, [(_, params)] = requests(asked, HOUR)
    assert past.span == HOUR
    assert "granularity" not in params


def test_what_is_of_now_is_left_out_of_the_past(ask):
    asked = ask("ibm_video", metrics=["active_view_segments", "view_segments"], order_by="active_view_segments")
    past = asked.provider.past(asked.query, HOUR)
    assert [metric.field for metric in past.query.metrics] == ["view_segments"]
    assert past.parts[0].fields == ("view_segments",)
    alone = ask("ibm_video", metrics=["active_view_segments"])
    with pytest.raises(NoHistory, match="is a number of now"):
        alone.provider.past(alone.query, HOUR)


def test_calendar_buckets_have_a_past_in_their_own_length_only(ask):
    asked = ask("ibm_video", metrics=["total_views"], options={"bucket": "day"})
    past, [(path, _)] = requests(asked, DAY)
    assert (path, past.span) == ("/total-views/day", 7 * DAY)
    with pytest.raises(NoHistory, match="has no buckets of 1h"):
        asked.provider.past(asked.query, HOUR)
    monthly = ask("ibm_video", metrics=["total_views"], options={"bucket": "month"})
    with pytest.raises(NoHistory, match="has no buckets of 1d"):
        monthly.provider.past(monthly.query, DAY)


def test_other_steps_are_refused_with_those_that_there_are(ask):
    asked = ask("ibm_video", metrics=["total_views"])
    with pytest.raises(NoHistory, match="to 15m; to 1m, 5m, 10m, 1h, 1d they can"):
        asked.provider.past(asked.query, 900)


@pytest.mark.parametrize(
    ("sent", "time"),
    [
        ("2026-04-09T20:00:00+00:00", START),
        ("2026-04-09T13:00:00-07:00", START),
        ("2026-04-09T20:00:00", START),
        ("soon", None),
        (None, None),
    ],
)
def test_rows_of_buckets_carry_their_time(ask, sent, time):
    asked = ask("ibm_video", metrics=["peak_viewers"], dimensions=["content_id"])
    past = asked.provider.past(asked.query, HOUR)
    row = {"content_type": "live", "content_id": 1, "time": sent, "value": 3}
    answer = {"data": [{"type": "PeakSeries", "attributes": row}]}
    page = asked.provider.parse(past.asked, Turn(past.parts[0], Window(START, START + HOUR)), answer)
    assert page.rows[0][ROW_TIME] == time
