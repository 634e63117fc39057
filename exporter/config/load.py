"""From the text of a file to a frozen :class:`Config`, or to every fault that it has."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from exporter.config import document
from exporter.config.expand import expand
from exporter.config.query import build, label_fault, query_faults
from exporter.config.schema import Defaults, QueryShape
from exporter.config.shape import check
from exporter.model import Query
from exporter.providers import PROVIDERS
from exporter.providers.base import Fault, Provider, SourceSettings, near

SECTIONS = ("defaults", "sources", "queries")


@dataclass(frozen=True, slots=True)
class Source:
    """One account at a vendor, ready to be asked."""

    name: str
    type: str
    settings: SourceSettings
    provider: Provider = field(repr=False)


@dataclass(frozen=True, slots=True)
class Config:
    """The file, checked and complete. ``queries`` has one entry for each query and source."""

    sources: Mapping[str, Source]
    queries: tuple[Query, ...]


@dataclass(frozen=True, slots=True)
class _Declared:
    """A source as the file has it: its vendor where the type is known, itself where nothing is wrong with it."""

    provider: type[Provider] | None
    labels: Mapping[str, str]
    source: Source | None = None


class ConfigError(Exception):
    """A file that can't be used; ``str()`` is all its faults, one a line, in the order of the file."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)


def load(text: str, *, name: str, env: Mapping[str, str]) -> Config:
    """Check a configuration and complete it.

    Args:
        text: the YAML.
        name: the file's name, for messages.
        env: the variables that ``${NAME}`` may name.

    Raises:
        ConfigError: with every fault of the file.
    """
    parsed = document.read(text)
    faults = list(parsed.faults)
    config = _config(expand(parsed.data, env, faults.append), faults.append) if parsed.data is not None else None
    if not faults and config is None:
        faults.append(Fault((), "is empty: it needs `sources` and `queries`"))
    if faults or config is None:
        # One thing wrong can be found twice: a text with an unset variable is no number either. The first word stands.
        found: dict[tuple[str | int, ...], str] = {}
        for fault in faults:
            found.setdefault(fault.path, fault.message)
        located = sorted((parsed.line(path), _where(path), message) for path, message in found.items())
        raise ConfigError([f"{name}:{line}: {where}{message}" for line, where, message in located])
    return config


def _where(path: tuple[str | int, ...]) -> str:
    steps = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return f"{steps.lstrip('.')}: " if path else ""


def _config(data: object, report: Callable[[Fault], None]) -> Config | None:
    if not isinstance(data, dict):
        report(Fault((), "must be a mapping with `sources` and `queries`"))
        return None
    for key in data:
        if key not in SECTIONS:
            report(Fault((key,), f"unknown key{near(key, SECTIONS)}; allowed: {', '.join(SECTIONS)}"))
    defaults = check(Defaults, data.get("defaults") or {}, ("defaults",), report)
    sources = {name: _source(name, entry, report) for name, entry in _section(data, "sources", dict, report).items()}
    queries = tuple(_queries(_section(data, "queries", list, report), sources, defaults or Defaults(), report))
    return Config({name: declared.source for name, declared in sources.items() if declared.source}, queries)


def _section(data: Mapping[str, Any], key: str, kind: type, report: Callable[[Fault], None]) -> Any:  # noqa: ANN401
    section = data.get(key)
    if not isinstance(section, kind) or not section:
        report(Fault((key,), f"must be a {'list' if kind is list else 'mapping'} with at least one entry"))
        return kind()
    return section


def _source(name: str, data: object, report: Callable[[Fault], None]) -> _Declared:
    path = ("sources", name)
    type_ = data.get("type") if isinstance(data, dict) else None
    provider = PROVIDERS.get(type_) if isinstance(type_, str) else None
    if not name:
        report(Fault(path, "the name of a source must not be empty"))
    if provider is None:
        given = f"not `{type_}`{near(type_, PROVIDERS)}" if isinstance(type_, str) else "and is missing"
        report(Fault((*path, "type"), f"must be the type of a vendor, {given}; allowed: {', '.join(PROVIDERS)}"))
        return _Declared(None, {})
    settings = check(provider.Settings, data, path, report)
    if settings is None:
        return _Declared(provider, {})
    found = [*provider.faults(settings), *_label_faults(settings.labels)]
    for fault in found:
        report(Fault((*path, *fault.path), fault.message))
    source = None if found else Source(name, settings.type, settings, provider(settings))
    return _Declared(provider, settings.labels, source)


def _label_faults(labels: Mapping[str, str]) -> Iterator[Fault]:
    for name in labels:
        if message := label_fault(name):
            yield Fault(("labels", name), message)


def _queries(
    section: Sequence[Any],
    sources: Mapping[str, _Declared],
    defaults: Defaults,
    report: Callable[[Fault], None],
) -> Iterator[Query]:
    names: set[str] = set()
    for index, data in enumerate(section):
        path = ("queries", index)
        shape = check(QueryShape, data, path, report)
        if shape is None:
            continue
        if shape.name in names:
            report(Fault((*path, "name"), f"the name `{shape.name}` stands twice"))
        names.add(shape.name)
        for declared, provider in _asked(shape, path, sources, report):
            found = list(query_faults(shape, provider, declared.labels))
            for fault in found:
                report(Fault((*path, *fault.path), fault.message))
            if declared.source and not found:
                yield build(shape, defaults, declared.source.name, provider, declared.labels)


def _asked(
    shape: QueryShape,
    path: tuple[str | int, ...],
    sources: Mapping[str, _Declared],
    report: Callable[[Fault], None],
) -> Iterator[tuple[_Declared, type[Provider]]]:
    """Give the sources of a query and their vendors, as far as they are known."""
    types: set[str] = set()
    for name in dict.fromkeys(shape.source):
        if name not in sources:
            report(
                Fault(
                    (*path, "source"),
                    f"there is no source `{name}`{near(name, sources)}; there are: {', '.join(sources)}",
                )
            )
        elif provider := sources[name].provider:
            types.add(provider.__name__)
            yield sources[name], provider
    if len(types) > 1:
        report(Fault((*path, "source"), "the sources are of several types; make a query for each type"))
