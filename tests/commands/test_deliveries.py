"""What `plan` says of history."""

import io
import json

import pytest
from rich.console import Console

from exporter.commands import forecast_tables
from exporter.commands.forecast import as_json, forecast
from exporter.config import load
from exporter.history.settlement import Class, Settled
from exporter.history.watermark import Watermark, Watermarks

NOW, DAY = 1_700_000_040.0, 86_400
FILE = """\
sources: {mm: {type: smartsight, customer_id: 7, auth: {api_key: CANARY}}}
remote_write: [{url: "http://p/w", name: main, bearer_token: CANARY}, {url: "http://q/w"}]
queries:
  - {name: plays, source: mm, metrics: [views], history: true}
  - {name: sessions, source: mm, endpoint: listsessions, metrics: [latency], history: true, interval: 5m, settle: 20m}
  - {name: now, source: mm, metrics: [views]}
"""


@pytest.fixture
def config():
    return load(FILE, name="c.yaml", env={})


def test_each_query_with_history_is_planned_for_each_receiver(config):
    found = forecast(config, NOW).history
    assert [(each.query, each.receiver, each.step) for each in found] == [
        ("plays", "main", 60),
        ("plays", "http://q/w", 60),
        ("sessions", "main", 60),
        ("sessions", "http://q/w", 60),
    ]
    assert all(each.newest is None and "--storage.path" in each.verdict for each in found)


def test_requests_are_those_of_new_and_of_settled_buckets(config):
    plays, _, sessions, _ = forecast(config, NOW).history
    assert plays.requests_per_day == DAY / 60 + DAY / 225
    # Sessions have no time series: a request a bucket.
    assert sessions.requests_per_day == 2 * DAY / 60


def test_what_is_stored_tells_which_delay_is_needed(config, tmp_path):
    mark = Watermark.at("i", 1_699_999_920)
    mark.newest, mark.settled = 1_699_999_920, Settled({120: Class(340, 12, 130.0), 300: Class(40, 0, 310.0)}, 0.031)
    Watermarks(tmp_path).store(config.queries[0], "main", mark)
    found = forecast(config, NOW, tmp_path)
    first, second = found.history[:2]
    assert (first.newest, second.newest) == (1_699_999_920, None)
    assert first.verdict.startswith("`delay: 2m` is too short: 12 of 380 buckets changed")
    assert first.verdict.endswith("by up to 3.1%; `delay: 6m` is enough.")
    out = io.StringIO()
    forecast_tables.show(found, Console(file=out))
    assert "2023-11-14 22:12:00" in out.getvalue()
    assert "`delay: 6m` is enough" in out.getvalue()
    assert json.loads(as_json(found))["history"][0]["newest"] == 1_699_999_920
    assert "CANARY" not in out.getvalue() + as_json(found)
