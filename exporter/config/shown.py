"""The configuration in force as a file again: defaults filled in, variables replaced, secrets left out."""

from collections.abc import Mapping
from itertools import groupby
from pathlib import PurePath

import yaml
from pydantic import SecretStr

from exporter.config.history import KEYS
from exporter.config.load import Config, Source
from exporter.config.remote_write import RemoteWrite
from exporter.config.schema import Defaults
from exporter.config.units import BYTES, SECONDS
from exporter.model import Metric, Query
from exporter.providers.base import Asked, AskedMetric, Provider

SECRET = "<secret>"  # noqa: S105 - stands for one
DURATIONS = ("interval", "window", "delay", "timeout", "max_age")
USUAL_ORDER = "desc"


class _Dumper(yaml.SafeDumper):
    """Writes each value where it stands: no anchors."""

    def ignore_aliases(self, _: object) -> bool:
        return True


def text(config: Config) -> str:
    """Give a configuration as YAML. With secrets in their places again, it would load to the same queries."""
    sources = {name: source_settings(source) for name, source in config.sources.items()}
    queries = [
        {**settings, "source": [query.source for query in queries]} if len(queries) > 1 else settings
        for settings, queries in _together(config)
    ]
    receivers = [receiver_settings(receiver) for receiver in config.remote_write]
    return dump({"sources": sources, "queries": queries} | ({"remote_write": receivers} if receivers else {}))


def dump(data: object) -> str:
    """Write data as YAML, short lists and mappings in one line."""
    written: str = yaml.dump(
        _plain(data), Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=None, width=120
    )
    return written


def source_settings(source: Source) -> dict[str, object]:
    """Give a source's settings as the file has them, without its secrets."""
    found = source.settings.model_dump(exclude_none=True)
    return {key: value for key, value in found.items() if value != {}}


def receiver_settings(receiver: RemoteWrite) -> dict[str, object]:
    """Give a receiver's settings as the file has them, without its secrets."""
    found = receiver.model_dump(exclude_none=True) | {"remote_timeout": duration(receiver.remote_timeout)}
    return {key: value for key, value in found.items() if value != {}}


def query_settings(query: Query, provider: Provider) -> dict[str, object]:
    """Give a query as the file has it, with the defaults that hold for it."""
    own = [metric for metric in query.metrics if metric not in provider.metrics(_asked(query, (), query.endpoint))]
    # That of an IBM query follows from its metrics, and has no key.
    implied = provider.endpoint(_asked(query, tuple(metric.field for metric in own), None))
    personal = any(name.lower() in provider.catalog.personal for name in query.dimensions)
    given: dict[str, object] = {
        "name": query.name,
        "source": query.source,
        "endpoint": "" if query.endpoint == implied else query.endpoint,
        "metrics": [_metric(query, metric, provider) for metric in own],
        "dimensions": query.dimensions,
        "filters": {name: list(values) for name, values in query.filters},
        "having": query.having,
        "top": query.top,
        "order_by": "" if own and query.order_by == own[0].field else query.order_by,
        "order": "" if query.order == USUAL_ORDER else query.order,
        "options": dict(query.options),
        "buckets": {metric.field: metric.bounds for metric in own if metric.bounds},
        "exemplars": query.exemplars,
        "allow_personal_data": query.exemplars or personal,
    }
    defaults = {name: _default(name, getattr(query, name)) for name in Defaults.model_fields if name not in KEYS}
    return {key: value for key, value in given.items() if value} | defaults | _history(query)


def _history(query: Query) -> dict[str, object]:
    """Give the keys about a query's history, where it has one."""
    if not (own := query.history):
        return {}
    durations = {"step": own.step, "settle": own.settle, "catch_up": own.catch_up}
    written = {name: duration(seconds) for name, seconds in durations.items()}
    return {"history": True, **written, "catch_up_requests": own.requests}


def duration(seconds: float) -> str:
    """Write a duration as Prometheus does: ``1h30m``, ``90s`` as ``1m30s``; a fraction as plain seconds."""
    if seconds % 1:
        return f"{seconds:g}"
    written, left = "", int(seconds)
    for unit in ("d", "h", "m", "s"):
        count, left = divmod(left, int(SECONDS[unit]))
        written += f"{count}{unit}" if count else ""
    return written or "0s"


def _together(config: Config) -> list[tuple[dict[str, object], list[Query]]]:
    """Give each query of the file once: those of several sources differ in nothing else."""
    grouped = (list(queries) for _, queries in groupby(config.queries, lambda query: query.name))
    return [(query_settings(queries[0], config.sources[queries[0].source].provider), queries) for queries in grouped]


def _asked(query: Query, fields: tuple[str, ...], endpoint: str | None) -> Asked:
    metrics = tuple(AskedMetric(field) for field in fields)
    return Asked(metrics, query.dimensions, {}, {}, endpoint, None, query.exemplars, {}, frozenset())


def _metric(query: Query, metric: Metric, provider: Provider) -> object:
    """Give a metric as the file has it: its name, and what the catalogue would say otherwise."""
    known_as = provider.metrics(_asked(query, (metric.field,), query.endpoint))
    usual = next(each for each in known_as if each.field == metric.field)
    given = {"name": metric.family.name, "help": metric.family.help, "scale": metric.scale}
    known = {"name": usual.family.name, "help": usual.family.help, "scale": usual.scale}
    others = {key: value for key, value in given.items() if value != known[key]}
    return {"field": metric.field, **others} if others else metric.field


def _default(name: str, value: float | str) -> object:
    if name in DURATIONS and not isinstance(value, str):
        return duration(value)
    return _size(int(value)) if name == "max_response" else value


def _size(size: int) -> object:
    unit = next((unit for unit in ("GiB", "MiB", "KiB") if size % BYTES[unit] == 0), "")
    return f"{size // BYTES[unit]}{unit}" if unit else size


def _plain(value: object) -> object:
    """Give data as YAML has it: a secret as a word in its place, and a dollar sign so that it stays one."""
    if isinstance(value, SecretStr):
        return SECRET
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str | PurePath):
        return str(value).replace("$", "$$")
    return value
