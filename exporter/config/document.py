"""Reading YAML so that every value keeps the line it stands on.

PyYAML speaks YAML 1.1, where ``NO`` is false, ``010`` is eight and ``1:30`` is ninety; a country code or a customer id
must not change its meaning, so only YAML 1.2's booleans, integers, floats and nulls are told from text here.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from exporter.providers.base import Fault

Path = tuple[str | int, ...]

CORE_SCHEMA = (
    ("tag:yaml.org,2002:null", r"^(?:~|null|Null|NULL|)$", "~nN\0"),
    ("tag:yaml.org,2002:bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("tag:yaml.org,2002:int", r"^[-+]?(?:0|[1-9][0-9]*)$", "-+0123456789"),
    (
        "tag:yaml.org,2002:float",
        r"^[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$",
        "-+.0123456789",
    ),
    ("tag:yaml.org,2002:merge", r"^<<$", "<"),
)
"""Tag, what it looks like, and the characters that it can begin with; YAML 1.2.2 section 10.3.2, less octal and hex."""


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012 - PyYAML declares it so


for _tag, _pattern, _first in CORE_SCHEMA:
    _Loader.add_implicit_resolver(_tag, re.compile(_pattern), ["" if char == "\0" else char for char in _first])


@dataclass(frozen=True, slots=True)
class Document:
    """A file's data, the line (from 1) of each path in it, and what is wrong with it as YAML."""

    data: object
    lines: Mapping[Path, int]
    faults: tuple[Fault, ...]

    def line(self, path: Path) -> int:
        """Give the line of a path, or of the nearest thing around it that the file has."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read(text: str) -> Document:
    """Read one YAML document; faults (syntax, keys that stand twice) are in the result."""
    loader = _Loader(text)
    lines: dict[Path, int] = {}
    faults: list[Fault] = []
    try:
        node = loader.get_single_node()
        data = _build(loader, node, (), lines, faults) if node else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        lines[()] = mark.line + 1 if mark else 1
        return Document(None, lines, (Fault((), f"is no valid YAML: {_problem(error)}"),))
    except (yaml.YAMLError, RecursionError):
        return Document(
            None, lines, (Fault((), "is no valid YAML: an unprintable character, or a value within itself"),)
        )
    finally:
        loader.dispose()
    return Document(data, lines, tuple(faults))


def _problem(error: yaml.MarkedYAMLError) -> str:
    """Say what PyYAML says, less what it quotes: an unquoted secret may begin with ``*``, ``&`` or ``!``."""
    problem = error.problem or "can't be read"
    return re.sub(r" '[^']{2,}'", "", problem)


def _build(loader: _Loader, node: yaml.Node, path: Path, lines: dict[Path, int], faults: list[Fault]) -> object:
    lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key in _doubles(node):
            lines[(*path, key.value)] = key.start_mark.line + 1
            faults.append(Fault((*path, key.value), "stands twice"))
        loader.flatten_mapping(node)
        data = {}
        for key, value in node.value:
            # A key is text whatever it looks like: `NO`, `1`, `true` may all be dimensions' values or labels.
            name = str(key.value)
            lines[(*path, name)] = key.start_mark.line + 1
            data[name] = _build(loader, value, (*path, name), lines, faults)
        return data
    if isinstance(node, yaml.SequenceNode):
        return [_build(loader, item, (*path, index), lines, faults) for index, item in enumerate(node.value)]
    return loader.construct_object(node)


def _doubles(node: yaml.MappingNode) -> Iterator[yaml.Node]:
    seen: set[str] = set()
    for key, _ in node.value:
        name = str(key.value)
        if name in seen and name != "<<":
            yield key
        seen.add(name)
