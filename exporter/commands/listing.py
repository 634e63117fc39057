"""What the command ``catalog`` prints: metrics, dimensions and endpoints, those that match a word."""

from collections.abc import Iterable, Iterator, Mapping

from rich.console import Console

from exporter.catalog import Catalog, Endpoint, Known
from exporter.commands import tables

LOGINS = {"api_key": "key", "password": "password", "client_credentials": "client credentials"}

Row = tuple[str, ...]


def show(catalogs: Mapping[str, Catalog], word: str, console: Console | None = None) -> bool:
    """Print what matches a word, all if it is empty; gives whether anything did."""
    found = (
        ("Metrics", ("source type", "field", "family", "scale", "endpoints", "meaning"), _metrics(catalogs, word)),
        ("Dimensions", ("source type", "dimension", "endpoints"), _dimensions(catalogs)),
        ("Endpoints", ("source type", "endpoint", "log-in", "gives"), _endpoints(catalogs)),
    )
    matching = [(title, heads, _matching(rows, word)) for title, heads, rows in found]
    for title, heads, rows in matching:
        if rows:
            tables.show(title, heads, rows, console=console)
    return any(rows for _, _, rows in matching)


def _matching(rows: Iterable[Row], word: str) -> list[Row]:
    return [row for row in rows if any(word.lower() in cell.lower() for cell in row)]


def _metrics(catalogs: Mapping[str, Catalog], word: str) -> Iterator[Row]:
    for name, catalog in catalogs.items():
        for known in (*catalog.known.values(), *catalog.counted.values()):
            # The statistics of each field would be five times as many lines; who looks for one finds it.
            if not known.statistic or word:
                yield name, known.field, known.family, f"{known.scale:g}", _reach(catalog, known), known.help
        if catalog.statistics and not word:
            prefixes = ", ".join(f"{statistic}_…" for statistic in catalog.statistics)
            yield name, prefixes, "", "", "", "the same fields by statistic"


def _reach(catalog: Catalog, known: Known) -> str:
    return ", ".join(endpoint.name for endpoint in catalog.reach(known) if not endpoint.instead)


def _dimensions(catalogs: Mapping[str, Catalog]) -> Iterator[Row]:
    for name, catalog in catalogs.items():
        yield from ((name, dimension, _splits(catalog, dimension)) for dimension in catalog.dimensions)
        for dimension in sorted(catalog.personal):
            yield name, dimension, "identifies a person; needs allow_personal_data: true"


def _splits(catalog: Catalog, dimension: str) -> str:
    by = dict.fromkeys(known.endpoint for known in catalog.known.values() if dimension in known.dimensions)
    any_ = (
        endpoint.name for endpoint in catalog.endpoints.values() if endpoint.gives != "none" and not endpoint.instead
    )
    return ", ".join(by or any_)


def _endpoints(catalogs: Mapping[str, Catalog]) -> Iterator[Row]:
    for name, catalog in catalogs.items():
        for endpoint in catalog.endpoints.values():
            yield name, endpoint.name, _logins(endpoint), endpoint.help + _deprecated(endpoint)


def _logins(endpoint: Endpoint) -> str:
    return " or ".join(LOGINS[login] for login in endpoint.logins)


def _deprecated(endpoint: Endpoint) -> str:
    return f"; deprecated, ask {endpoint.instead}" if endpoint.instead else ""
