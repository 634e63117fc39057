"""What all tests share: the marker ``real``, hypothesis' settings, and a factory of queries."""

import os
import shutil

import pytest
from hypothesis import settings

from exporter.model import Family, Metric, Query

# Tests run in parallel on busy machines: how long an example takes says nothing.
settings.register_profile("parallel", deadline=None)
settings.load_profile("parallel")


def pytest_runtest_setup(item):
    """Skip a test whose real component is missing, or fail it where all are required (REQUIRE_REAL=1)."""
    for marker in item.iter_markers("real"):
        (component,) = marker.args
        if shutil.which(component) is None:
            complain = pytest.fail if os.environ.get("REQUIRE_REAL") == "1" else pytest.skip
            complain(f"needs a real {component}, and none is on PATH")


def pytest_collection_modifyitems(items):
    """Begin with what takes longest, a Keycloak that starts: as one of the last it would keep all others waiting."""
    items.sort(key=lambda item: "tests/keycloak/" not in item.nodeid)


@pytest.fixture(autouse=True)
def _no_repeats(monkeypatch, request):
    """Let a request that fails be the end of it, but where a test asks for ``repeats``: their waits are real."""
    if "repeats" not in request.fixturenames:
        monkeypatch.setattr("exporter.providers.retry.ATTEMPTS", 1)
        monkeypatch.setattr("exporter.providers.limits.FIRST_GAP", 0.0)


@pytest.fixture
def repeats():
    """Have requests made again as in earnest."""


@pytest.fixture(scope="session")
def make_query():
    """Make a query of the model; what is not given is what suits most tests.

    A metric is a field, or a tuple of field, family and scale.
    """

    def make_query(metrics=("plays",), dimensions=(), *, source="mm", name="q", labels=(), **more):
        metrics = tuple(
            Metric(metric, Family(f"smartsight_{metric}", f"Help of {metric}."))
            if isinstance(metric, str)
            else Metric(metric[0], Family(metric[1], f"Help of {metric[1]}."), metric[2])
            for metric in metrics
        )
        values = {
            "filters": (),
            "having": None,
            "top": None,
            "order_by": metrics[0].field,
            "order": "desc",
            "endpoint": "metricquery",
            "options": (),
            "exemplars": False,
            "interval": 60,
            "window": 300,
            "delay": 120,
            "timeout": 90,
            "max_age": 300,
            "max_series": 10_000,
            "max_rows": 2_000_000,
            "max_response": 2**26,
            "max_nesting": 32,
            "max_label_length": 1024,
            "empty_label": "unknown",
            "on_missing": "absent",
        }
        return Query(
            source=source,
            name=name,
            metrics=metrics,
            dimensions=tuple(dimensions),
            labels=(("source", source), ("query", name), *labels),
            **(values | more),
        )

    return make_query
