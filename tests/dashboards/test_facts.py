"""What is known of families: each of the catalogue's has its own words, and no others are there."""

from exporter.catalog import load
from exporter.dashboards.facts import BUDGETS, FACTS, Fact
from exporter.rules.signals import SIGNALS

VENDORS = [load(vendor) for vendor in ("smartsight", "ibm_video")]
KNOWN = {known.family for vendor in VENDORS for known in (*vendor.known.values(), *vendor.counted.values())}
PLAIN = {known.family for vendor in VENDORS for known in vendor.known.values() if not known.statistic}
PLAIN_WORDS = Fact("")

UNTOLD = {
    "smartsight_video_duration_seconds": "what was watched, which is neither good nor bad",
    "smartsight_downloaded_bytes": "what it costs, which is not what viewers see",
    "smartsight_playtime_per_viewer_seconds": "a habit of viewers",
    "smartsight_unique_viewers": "distinct: only on the dashboard Explorer",
    "smartsight_unique_subscribers": "distinct: only on the dashboard Explorer",
    "smartsight_unique_devices": "distinct: only on the dashboard Explorer",
    "smartsight_anonymous_viewers": "distinct: only on the dashboard Explorer",
}
"""Families that no panel shows but the explorer's, and why."""


def test_all_that_panels_show_is_explained():
    assert FACTS.keys() <= KNOWN
    assert PLAIN - FACTS.keys() == UNTOLD.keys() & PLAIN
    for family, known in FACTS.items():
        assert known.ask.endswith("?"), family
        assert known.ask != PLAIN_WORDS.ask, family
        assert known.next != PLAIN_WORDS.next, family
        assert (known.warn is None) == (known.bad is None) == (known.wrong != PLAIN_WORDS.wrong), family


def test_titles_tell_families_of_a_vendor_apart():
    for vendor in VENDORS:
        titles = [known.title for family, known in FACTS.items() if family.startswith(vendor.prefix)]
        assert len(titles) == len(set(titles))


def test_limits_and_weights_are_those_of_the_rules():
    for signal in SIGNALS:
        known = FACTS[signal.family]
        assert known.bad == signal.limit, signal.family
        assert known.low == (signal.worse == "<")
        if not signal.asked:
            assert known.weights == tuple(filter(None, (signal.exact, signal.weight)))
        if signal.budget is not None:
            assert BUDGETS[signal.family] == signal.budget
