"""From the text of a file to a frozen :class:`Config`, or to every fault that it has."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from exporter.config import document, history
from exporter.config.expand import expand
from exporter.config.query import build, kind_faults, label_fault, query_faults, source_name_fault
from exporter.config.remote_write import RemoteWrite, receiver_faults
from exporter.config.schema import Defaults, QueryShape
from exporter.config.shape import check
from exporter.model import Family, Query
from exporter.providers import PROVIDERS
from exporter.providers.base import Fault, Provider, near
from exporter.providers.shapes import SourceSettings

SECTIONS = ("defaults", "sources", "queries", "remote_write")
SHOWN = re.compile("[a-z][a-z_]{0,30}")
"""What a key below one of ``CONFIDENTIAL`` looks like."""

CONFIDENTIAL = ("auth", "basic_auth", "authorization", "headers")
"""Keys below which secrets stand."""


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
    remote_write: tuple[RemoteWrite, ...] = ()
    """Where the history of queries is delivered to."""

    @property
    def delivers(self) -> bool:
        """Whether any history is delivered."""
        return bool(self.remote_write) and any(query.history for query in self.queries)

    def reusing(self, old: "Config") -> "Config":
        """Give the same with the old sources themselves where nothing about them changed."""
        return replace(
            self, sources={name: _same(source, old.sources.get(name)) for name, source in self.sources.items()}
        )


def _same(new: Source, old: Source | None) -> Source:
    return old if old and old.settings == new.settings else new


@dataclass(frozen=True, slots=True)
class _Declared:
    """A source as the file has it: its vendor where the type is known, itself where nothing is wrong with it."""

    provider: type[Provider] | None
    labels: Mapping[str, str]
    settings: SourceSettings | None = None
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
    unset: list[Fault] = []
    config = _config(expand(parsed.data, env, unset.append), faults.append) if parsed.data is not None else None
    # A text with an unset variable is no number either: one word on it is enough.
    faults = unset + [fault for fault in faults if not any(_related(fault.path, known.path) for known in unset)]
    if not faults and config is None:
        faults.append(Fault((), "is empty: it needs `sources` and `queries`"))
    if faults or config is None:
        located = sorted({(parsed.line(fault.path), _where(fault.path), fault.message) for fault in faults})
        raise ConfigError([_one_line(f"{name}:{line}: {where}{message}") for line, where, message in located])
    return config


def load_file(path: Path, env: Mapping[str, str]) -> Config:
    """Read and check a configuration.

    Raises:
        ConfigError: with every fault of the file, or why it can't be read.
    """
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror}; name the configuration with --config.file"]) from None
    except UnicodeDecodeError:
        raise ConfigError([f"{path}: is no UTF-8 text"]) from None
    return load(text, name=str(path), env=env)


def load_to_run(path: Path, env: Mapping[str, str], storage: Path | None) -> Config:
    """Read and check a configuration that is to be run with a storage directory, or without one.

    Raises:
        ConfigError: as ``load_file``; or the configuration needs a directory.
    """
    config = load_file(path, env)
    if config.delivers and storage is None:
        name = next(query.name for query in config.queries if query.history)
        raise ConfigError(
            [f"{path}: `history: true` of `{name}` needs --storage.path, where it keeps how far it has come"]
        )
    return config


def _related(one: tuple[str | int, ...], other: tuple[str | int, ...]) -> bool:
    """Whether one path is the other, or leads on from it."""
    return all(step == with_ for step, with_ in zip(one, other, strict=False)) and bool(one)


def _one_line(text: str) -> str:
    """Escape what would break a line or steer a terminal."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def _where(path: tuple[str | int, ...]) -> str:
    # What stands for a key below `auth` may be a secret whose key lacks a blank behind its colon.
    end = next((number for number, step in enumerate(path, 1) if step in CONFIDENTIAL), len(path))
    shown = [*path[:end], *(step for step in path[end:] if SHOWN.fullmatch(str(step)))]
    steps = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in shown)
    return f"{steps.lstrip('.')}: " if steps else ""


def _config(data: object, report: Callable[[Fault], None]) -> Config | None:
    if not isinstance(data, dict):
        report(Fault((), "must be a mapping with `sources` and `queries`"))
        return None
    for key in data:
        if key not in SECTIONS:
            report(Fault((key,), f"unknown key{near(key, SECTIONS)}; allowed: {', '.join(SECTIONS)}"))
    given = data.get("defaults")
    defaults, _ = check(Defaults, {} if given is None else given, ("defaults",), report)
    sources = {name: _source(name, entry, report) for name, entry in _section(data, "sources", dict, report).items()}
    queries = tuple(_queries(_section(data, "queries", list, report), sources, defaults, report))
    receivers = _receivers(data, report)
    for fault in history.receiver_faults(data):
        report(fault)
    return Config({name: declared.source for name, declared in sources.items() if declared.source}, queries, receivers)


def _section(data: Mapping[str, Any], key: str, kind: type, report: Callable[[Fault], None]) -> Any:  # noqa: ANN401
    section = data.get(key)
    if not isinstance(section, kind) or not section:
        how = "list" if kind is list else "mapping"
        hint = "; begin each with `- `" if kind is list else "; begin each with its name and `:`"
        report(Fault((key,), f"must be a {how} with at least one entry{hint if section else ''}"))
        return kind()
    return section


def _source(name: str, data: object, report: Callable[[Fault], None]) -> _Declared:
    path = ("sources", name)
    if message := source_name_fault(name):
        report(Fault(path, message))
    if not isinstance(data, dict):
        report(Fault(path, "must be a mapping with `type` and `auth`"))
        return _Declared(None, {})
    type_ = data.get("type")
    provider = PROVIDERS.get(type_) if isinstance(type_, str) else None
    if provider is None:
        given = f"not `{type_}`{near(type_, PROVIDERS)}" if isinstance(type_, str) else "and a text"
        given = given if "type" in data else "and is missing"
        report(Fault((*path, "type"), f"must be the type of a vendor, {given}; allowed: {', '.join(PROVIDERS)}"))
        return _Declared(None, {})
    settings, wrong = check(provider.Settings, data, path, report)
    labels = settings.labels
    found = [*(() if {"auth", ""} & wrong else provider.faults(settings)), *_label_faults(labels)]
    for fault in found:
        report(Fault((*path, *fault.path), fault.message))
    source = Source(name, settings.type, settings, provider(settings)) if not wrong and not found else None
    login_wrong = {"auth", ""} & wrong or any(fault.path[:1] == ("auth",) for fault in found)
    return _Declared(provider, labels, None if login_wrong else settings, source)


def _receivers(data: Mapping[str, Any], report: Callable[[Fault], None]) -> tuple[RemoteWrite, ...]:
    given = data.get("remote_write")
    places: list[tuple[tuple[str | int, ...], Any]] = []
    if isinstance(given, list) and given:
        places = [(("remote_write", index), receiver) for index, receiver in enumerate(given)]
    elif isinstance(given, dict) or given is None:
        places = [(("remote_write",), given)] if given else []
    else:
        report(Fault(("remote_write",), "must be a receiver with its `url`, or a list of such"))
        return ()
    receivers = [(path, *check(RemoteWrite, receiver, path, report)) for path, receiver in places]
    names: set[str] = set()
    for path, receiver, wrong in receivers:
        for fault in receiver_faults(receiver, wrong):
            report(Fault((*path, *fault.path), fault.message))
        if receiver.label and receiver.label in names:
            report(Fault((*path, "name"), f"the receiver `{receiver.label}` stands twice; give each a `name`"))
        names.add(receiver.label)
    return tuple(receiver for _, receiver, wrong in receivers if not wrong)


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
    taken: dict[str, Family] = {}
    for index, data in enumerate(section):
        path = ("queries", index)
        shape, wrong = check(QueryShape, data, path, report)
        if shape.name in names:
            report(Fault((*path, "name"), f"the name `{shape.name}` stands twice"))
        names.add(shape.name)
        for declared in _asked(shape, path, sources, report):
            found = list(query_faults(shape, wrong, declared.provider, declared.settings, declared.labels))
            if declared.provider:
                found += kind_faults(shape, declared.provider, taken)
            if not wrong and declared.source and not found:
                built = _built(shape, defaults, declared.source, declared.labels)
                if isinstance(built, Query):
                    yield built
                else:
                    found.append(built)
            for fault in found:
                report(Fault((*path, *fault.path), fault.message))


def _built(shape: QueryShape, defaults: Defaults, source: Source, labels: Mapping[str, str]) -> Query | Fault:
    """Complete a query at a source, or give why its history can't be delivered from there."""
    query = build(shape, defaults, source.name, type(source.provider), labels)
    return history.with_history(query, history.settings(shape, defaults), source.provider)


def _asked(
    shape: QueryShape, path: tuple[str | int, ...], sources: Mapping[str, _Declared], report: Callable[[Fault], None]
) -> Iterator[_Declared]:
    """Give the sources of a query; one that nobody knows where none is, for there is more to check."""
    known = [sources[name] for name in dict.fromkeys(shape.source or ()) if name in sources]
    for name in dict.fromkeys(shape.source or ()):
        if name not in sources:
            there = ", ".join(sources) or "none"
            hint = " (several sources are a list: `[a, b]`)" if "," in name else near(name, sources)
            report(Fault((*path, "source"), f"there is no source `{name}`{hint}; there are: {there}"))
    if len({declared.provider for declared in known if declared.provider}) > 1:
        report(Fault((*path, "source"), "the sources are of several types; make a query for each type"))
    yield from known or (_Declared(None, {}),)
