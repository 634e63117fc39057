"""Which format and coding a client wants, by its headers and their q-values (RFC 9110, sections 12.4 and 12.5)."""

from collections.abc import Iterator
from functools import lru_cache

from exporter.exposition import Format

OPENMETRICS = "application/openmetrics-text"
VERSIONS = {OPENMETRICS: "1.0.0", "text/plain": "0.0.4"}
OFFERS = {
    "text/plain": Format.TEXT,
    "text/*": Format.TEXT,
    "*/*": Format.TEXT,
    OPENMETRICS: Format.OPENMETRICS,
}


@lru_cache(maxsize=64)
def format_for(accept: str) -> Format:
    """Give the format with the highest q-value among those that are offered; text where nothing fits.

    A version that is not served (OpenMetrics 0.0.1) is no offer. Of two formats wanted alike, the first one stands.
    """
    best, weight = Format.TEXT, 0.0
    for name, parameters in _parse(accept):
        version = parameters.get("version", "").strip('"')
        if name in OFFERS and version in ("", VERSIONS.get(name, version)):
            q = _q(parameters)
            if q > weight:
                best, weight = OFFERS[name], q
    return best


@lru_cache(maxsize=64)
def wants_gzip(accept_encoding: str) -> bool:
    """Whether the client takes gzip, and does not like it less than no compression."""
    codings = {name: _q(parameters) for name, parameters in _parse(accept_encoding)}
    gzip = codings.get("gzip", codings.get("*", 0.0))
    return gzip > 0 and gzip >= codings.get("identity", 0.0)


def _parse(header: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Give each element of a list header with its parameters, names in lower case."""
    for element in header.split(","):
        name, *parameters = (part.strip() for part in element.split(";"))
        pairs = (parameter.partition("=") for parameter in parameters)
        if name:
            yield name.lower(), {key.strip().lower(): value.strip() for key, _, value in pairs}


def _q(parameters: dict[str, str]) -> float:
    try:
        return float(parameters.get("q", "1"))
    except ValueError:
        return 0.0
