"""The shape of the configuration file (contract section 1); what the values mean together is checked in ``load``."""

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from exporter.config.units import Duration, Size, WholeDuration, WholeDurationOrNone
from exporter.providers.decode import DEEPEST
from exporter.providers.shapes import Count, Name, Strict, Text, no_boolean


def _flag(value: object) -> object:
    """Write a boolean as the APIs do."""
    return str(value).lower() if isinstance(value, bool) else value


def _many(value: object) -> object:
    """Let one value stand for a list of one."""
    return value if isinstance(value, list) else [value]


Value = Annotated[Text, BeforeValidator(_flag)]
Texts = Annotated[list[Text], BeforeValidator(_many), Field(min_length=1)]
Values = Annotated[list[Value], BeforeValidator(_many), Field(min_length=1)]
Scale = Annotated[float, BeforeValidator(no_boolean), Field(allow_inf_nan=False)]


def _rising(bounds: list[float]) -> list[float]:
    if any(low >= high for low, high in pairwise(bounds)):
        raise ValueError("must rise from one bound to the next")
    return bounds


Bound = Annotated[float, Field(ge=0, allow_inf_nan=False), BeforeValidator(no_boolean)]
Bounds = Annotated[list[Bound], Field(min_length=1), AfterValidator(_rising)]


class MetricShape(Strict):
    """A metric written at length."""

    field: Name = Field(description="The vendor's name of it.")
    name: Text | None = Field(default=None, description="Family to export it under.")
    help: Text | None = Field(default=None, description="HELP text of the family.")
    scale: Scale | None = Field(default=None, description="Factor from the vendor's unit to the exported one.")


def _metric(value: object) -> object:
    return {"field": value} if isinstance(value, str) else value


Metric = Annotated[MetricShape, BeforeValidator(_metric)]


class Defaults(Strict):
    """What holds for each query that does not say otherwise."""

    interval: WholeDuration = Field(default=60, description="How often a query is polled.")
    window: WholeDuration = Field(default=300, description="Length of the period that is asked for.")
    delay: WholeDurationOrNone = Field(default=120, description="The period ends at least this long ago.")
    timeout: Duration = Field(default=90, description="One HTTP request, all of it.")
    max_age: Duration = Field(default=300, description="How long the last good answer is served once polls fail.")
    max_series: Count = Field(default=10_000, description="Series of a query at most; whole rows beyond are dropped.")
    empty_label: Text = Field(default="unknown", description="Label value for an empty, null or missing dimension.")
    on_missing: Literal["absent", "zero"] = Field(
        default="absent", description="What a metric without a number becomes."
    )
    max_response: Size = Field(default=64 * 2**20, description="One answer at most, after decompression.")
    max_rows: Count = Field(default=2_000_000, description="Rows at most where this exporter aggregates them.")
    max_nesting: Count = Field(default=DEEPEST, description="Levels of lists and objects in an answer at most.")
    max_label_length: Count = Field(
        default=1024, description="Characters of a label value at most; rows with a longer one are dropped."
    )
    history: bool = Field(default=False, description="Deliver the query's past to `remote_write`, in buckets.")
    step: WholeDuration | None = Field(
        default=None, description="Length of the history's buckets; the shortest that divides the interval."
    )
    settle: WholeDuration = Field(default=900, description="How long after its end a bucket is read again, once.")
    catch_up: WholeDuration = Field(
        default=86_400, description="Buckets that are older are given up; raised to delay and two buckets."
    )
    catch_up_requests: Count = Field(default=120, description="Requests an hour for catching up at most.")


class QueryShape(Strict):
    """One query. What is left out comes from ``defaults``."""

    name: Text = Field(description="Becomes the label `query`.")
    source: Texts = Field(description="A source, or several of one type.")
    metrics: Annotated[list[Metric], Field(min_length=1)] = Field(default=[], description="What is asked for.")
    dimensions: list[Name] = Field(default=[], description="What the metrics are split by; each becomes a label.")
    filters: dict[Name, Values] = Field(default={}, description="Dimensions and the values that count.")
    having: Text | None = Field(default=None, description="SmartSight's qoefilter.")
    top: Count | None = Field(default=None, description="The first so many rows by `order_by`.")
    order_by: Name | None = Field(default=None, description="The first metric, if left out.")
    order: Literal["asc", "desc"] = Field(default="desc", description="Of the rows, by `order_by`.")
    endpoint: Text | None = Field(default=None, description="SmartSight's endpoint; `metricquery`, if left out.")
    options: dict[str, Value] = Field(default={}, description="Any other parameter of the vendor.")
    exemplars: bool = Field(default=False, description="The slowest session of a bucket, in OpenMetrics.")
    buckets: dict[str, Bounds] = Field(default={}, description="Bounds of distributions, by metric, in base units.")
    allow_personal_data: bool = Field(default=False, description="Admit dimensions that identify a person.")
    interval: WholeDuration | None = None
    window: WholeDuration | None = None
    delay: WholeDurationOrNone | None = None
    timeout: Duration | None = None
    max_age: Duration | None = None
    max_series: Count | None = None
    empty_label: Text | None = None
    on_missing: Literal["absent", "zero"] | None = None
    max_response: Size | None = None
    max_rows: Count | None = None
    max_nesting: Count | None = None
    max_label_length: Count | None = None
    history: bool | None = None
    step: WholeDuration | None = None
    settle: WholeDuration | None = None
    catch_up: WholeDuration | None = None
    catch_up_requests: Count | None = None
