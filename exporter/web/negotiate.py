"""Which format and coding a client wants, by its headers and their q-values (RFC 9110, sections 12.4 and 12.5)."""

from collections.abc import Iterator
from functools import lru_cache

from exporter.exposition import Format

OFFERS = {
    Format.TEXT: ("text/plain", "0.0.4"),
    Format.OPENMETRICS: ("application/openmetrics-text", "1.0.0"),
}
"""What is served: media type and version. The first is the answer to a client without wishes."""


@lru_cache(maxsize=64)
def format_for(accept: str) -> Format:
    """Give the format that is wanted most; text where nothing fits.

    The most specific range that a format matches says how much it is wanted; a version that is not served is no match.
    Of two that are wanted alike, the first in the header stands.
    """
    wishes = [(name, parameters, -place) for place, (name, parameters) in enumerate(_parse(accept))]
    wanted = {form: _wanted(name, version, wishes) for form, (name, version) in OFFERS.items()}
    return max(wanted, key=lambda form: wanted[form])


def _wanted(name: str, served: str, wishes: list[tuple[str, dict[str, str], int]]) -> tuple[float, int, int]:
    """Give how much a format is wanted: its q-value, then how specific the range is that says so, then its place."""
    ranges = ("*/*", f"{name.partition('/')[0]}/*", name)
    found = [
        (ranges.index(wish), _q(parameters), place)
        for wish, parameters, place in wishes
        if wish in ranges and parameters.get("version", served).strip('"') == served
    ]
    specific, q, place = max(found, default=(0, 0.0, 0))
    return (q, specific, place) if q > 0 else (0.0, 0, 0)


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
