"""What every vendor's module gives: its settings, its requests, and how to read its answers. No I/O."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar, Protocol

from pydantic import SecretStr

from exporter.catalog import Catalog
from exporter.model import ROW_TIME, Lookup, Metric, Page, Part, Past, Query, Request, Turn, Window
from exporter.providers.shapes import SourceSettings


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret in memory or in a file; a file is read at each use, so that a rotated secret needs no restart."""

    value: str | None = field(default=None, repr=False)
    file: Path | None = None

    @classmethod
    def of(cls, value: SecretStr | None, file: Path | None) -> "Secret":
        """Make one from the two keys that a secret has in the file."""
        return cls(value.get_secret_value() if value else None, file)

    def read(self) -> str:
        """Give the secret.

        Raises:
            OSError: the file can't be read.
            UnicodeDecodeError: the file is no UTF-8 text.
        """
        if self.file is None:
            return (self.value or "").strip()
        return self.file.read_text("utf-8").strip()


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key that goes along in a header of each request."""

    header: str
    key: Secret


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """OAuth2 client credentials: the secret in Basic auth, ``form`` in the body, the token after ``scheme``."""

    token_url: str
    client_id: str
    secret: Secret
    form: tuple[tuple[str, str], ...]
    scheme: str = ""


@dataclass(frozen=True, slots=True)
class Password:
    """OAuth2 password grant with refresh, as Keycloak gives it; ``form`` goes along in the log-in's body."""

    token_url: str
    client_id: str
    username: str
    secret: Secret
    form: tuple[tuple[str, str], ...]
    scheme: str = "Bearer"


Credentials = ApiKey | ClientCredentials | Password


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong at a place of the file: the path of keys and indices, and what is wrong, in a sentence."""

    path: tuple[str | int, ...]
    message: str


class NoHistory(Exception):
    """The past of a query can't be asked for in such buckets, and why."""


class Provider(Protocol):
    """One vendor, bound to one source's settings. Pure: bytes and values in, values out."""

    Settings: ClassVar[type[SourceSettings]]
    catalog: ClassVar[Catalog]
    settings: Any

    def __init__(self, settings: Any) -> None: ...  # noqa: ANN401 - each vendor takes its own Settings

    @property
    def base_url(self) -> str:
        """Where the API is, without a slash at the end."""

    @property
    def account(self) -> tuple[str, ...]:
        """What tells this source's data from another's: where it is and whose it is, without any secret."""

    @property
    def credentials(self) -> Credentials:
        """How to log in."""

    @staticmethod
    def faults(settings: Any) -> Iterator[Fault]:  # noqa: ANN401 - as above
        """Say what is wrong with a source's settings beyond their shape; paths are relative to the source."""

    @staticmethod
    def query_faults(query: "Asked", settings: Any) -> Iterator[Fault]:  # noqa: ANN401 - as above
        """Say what the vendor would not take in a query; paths are relative to the query.

        The source's settings are ``None`` where its log-in is wrong itself.
        """

    @staticmethod
    def endpoint(query: "Asked") -> str:
        """Name what a query asks: the ``endpoint`` label of its ``query_info``."""

    @staticmethod
    def metrics(query: "Asked") -> tuple[Metric, ...]:
        """Give the metrics that a query without faults exports."""

    @staticmethod
    def advice(query: Query) -> str:
        """Say how a query should be asked better; empty if it is fine."""

    def parts(self, query: Query) -> tuple[Part, ...]:
        """Give the requests that answer a query together."""

    def past(self, query: Query, step: int) -> Past:
        """Say how the past of a query is asked for in buckets of ``step`` seconds.

        Raises:
            NoHistory: the vendor has none.
        """

    def request(self, query: Query, turn: Turn) -> Request:
        """Give the request for one page."""

    def parse(self, query: Query, turn: Turn, answer: object) -> Page:
        """Read one page of decoded JSON.

        Raises:
            BadResponse: the answer has not the documented shape.
        """

    def fact(self, lookup: Lookup, answer: object) -> str:
        """Read what a look-up asked for.

        Raises:
            BadResponse: it is not there.
        """

    def explain(self, answer: object) -> str:
        """Give the vendor's own words from the decoded body of an error; empty where there are none."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A query as the file puts it, before defaults and catalogue: what a vendor checks."""

    metrics: tuple["AskedMetric", ...]
    dimensions: tuple[str, ...]
    filters: Mapping[str, tuple[str, ...]]
    options: Mapping[str, str]
    endpoint: str | None
    having: str | None
    exemplars: bool
    buckets: Mapping[str, tuple[float, ...]]
    given: frozenset[str]
    """The keys that the query itself has."""
    order_by: str | None = None

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of its metrics."""
        return tuple(metric.field for metric in self.metrics)


@dataclass(frozen=True, slots=True)
class AskedMetric:
    """A metric as the file puts it; ``None`` is what the catalogue says."""

    field: str
    name: str | None = None
    help: str | None = None
    scale: float | None = None


def plain_metrics(query: Asked, known: Catalog) -> tuple[Metric, ...]:
    """Give a query's metrics by the catalogue, each as a gauge."""
    return tuple(known.metric(each.field, name=each.name, text=each.help, scale=each.scale) for each in query.metrics)


def inside(rows: Iterable[object], period: Window) -> list[object]:
    """Leave out buckets that begin where a period ends: no document says whether its last moment is part of it."""
    return [row for row in rows if not (isinstance(row, dict) and row.get(ROW_TIME) == period.end)]


def named(*parts: object) -> str | None:
    """Make one text of what tells a row from others; ``None`` if any of it is missing, or no text or number."""
    usable = all(isinstance(part, str | int) and part != "" for part in parts)
    return "/".join(str(part) for part in parts) if usable else None


def in_words(seconds: int) -> str:
    """Write a step as a person would: ``5m``."""
    length, unit = next(
        (size, unit) for size, unit in ((86_400, "d"), (3600, "h"), (60, "m"), (1, "s")) if seconds % size == 0
    )
    return f"{seconds // length}{unit}"


def unsortable(query: Asked) -> Fault:
    """Give the fault of an ``order_by`` that is no metric of a query whose rows the exporter sorts."""
    hint = near(query.order_by or "", query.fields)
    return Fault(("order_by",), f"`{query.order_by}` is no metric of the query{hint}, by which alone it can be sorted")


def near(name: str, known: Iterable[str]) -> str:
    """Give `` (did you mean `x`?)`` for the known name that is most like this one, else nothing."""
    found = get_close_matches(name, list(known), n=1)
    return f" (did you mean `{found[0]}`?)" if found else ""
