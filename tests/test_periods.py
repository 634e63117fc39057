"""What is told of queries' times follows the configuration."""

import pytest

from exporter.exposition import Format
from exporter.periods import Periods
from exporter.telemetry import Telemetry


@pytest.fixture
def told():
    """Take in queries and give what the exporter's own metrics say of their times, of a family's name and a query's."""
    telemetry = Telemetry(lambda: 0.0)
    periods = Periods(telemetry)

    def told(*queries):
        periods.configured(queries)
        samples = [sample for family in telemetry.registry.collect() for sample in family.samples]
        prefix = "video_analytics_exporter_query_"
        assert telemetry.render(Format.TEXT).count(f"\n{prefix}delay_seconds{{".encode()) == len(queries)
        return {
            (sample.name.removeprefix(prefix), sample.labels["source"], sample.labels["query"]): sample.value
            for sample in samples
            if sample.name.startswith((f"{prefix}interval", f"{prefix}delay"))
        }

    return told


def test_a_query_s_times_are_told_in_seconds(told, make_query):
    assert told(make_query(interval=90, delay=3600), make_query(source="other", delay=0)) == {
        ("interval_seconds", "mm", "q"): 90,
        ("delay_seconds", "mm", "q"): 3600,
        ("interval_seconds", "other", "q"): 60,
        ("delay_seconds", "other", "q"): 0,
    }


def test_a_reload_takes_what_is_gone_and_changes_what_has_changed(told, make_query):
    told(make_query(), make_query(name="gone"))
    assert told(make_query(interval=300)) == {("interval_seconds", "mm", "q"): 300, ("delay_seconds", "mm", "q"): 120}
