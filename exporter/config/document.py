"""Reading YAML so that every value keeps the line it stands on, and every number the way it is written.

PyYAML speaks YAML 1.1, where ``NO`` is false, ``010`` is eight and ``1:30`` is ninety; a country code or a customer id
must not change its meaning, so only YAML 1.2's booleans, integers, floats and nulls are told from text here.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from exporter.providers.base import Fault
from exporter.providers.shapes import WrittenFloat, WrittenInt

Path = tuple[str | int, ...]

TAG = "tag:yaml.org,2002:"
CORE_SCHEMA = (
    ("null", r"^(?:~|null|Null|NULL|)$", "~nN\0"),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("int", r"^[-+]?(?:0|[1-9][0-9]*)$", "-+0123456789"),
    ("float", r"^[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$", "-+.0123456789"),
    ("merge", r"^<<$", "<"),
)
"""Tag, what it looks like, and the characters that it can begin with; YAML 1.2.2 section 10.3.2, less octal and hex."""


NO_YAML = "is no valid YAML: "

HINTS = {
    r"'\t' that cannot start": "indent with spaces, not with tabs",
    "that cannot start any token": "put a text that begins with it in quotes",
    "mapping values are not allowed": "check the indentation, and put a text that holds `: ` in quotes",
    "expected <block end>": "check the indentation: it is not that of the lines above",
    "could not find expected ':'": "a key needs a colon and a space behind it",
    "undefined alias": "put a text that begins with * in quotes",
    "unexpected end of stream": "a quote is not closed",
    "unknown escape character": "put a text that holds a backslash in single quotes",
    "expected chomping or indentation indicators": "put a text that begins with > or | in quotes",
    "expected a comment or a line break": "put a text that begins with > or | in quotes",
    "expected a single document": "remove the line `---` in the middle",
}
"""What to do about PyYAML's words, the first that match."""


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012 - PyYAML declares it so


for _name, _pattern, _first in CORE_SCHEMA:
    _Loader.add_implicit_resolver(TAG + _name, re.compile(_pattern), ["" if char == "\0" else char for char in _first])

SCALARS: dict[str, Callable[[str], object]] = {
    TAG + "str": str,
    TAG + "null": lambda _: None,
    TAG + "bool": lambda text: {"true": True, "false": False}[text.lower()],
    TAG + "int": WrittenInt,
    TAG + "float": WrittenFloat,
}
"""What a scalar becomes, by its tag. Of a number, the text stays too."""


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
    try:
        loader = _Loader(text)
        try:
            return _Builder(loader).build()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        return _broken(mark.line + 1 if mark else 1, _problem(error))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        return _broken(line, f"the unprintable character #x{error.character:04x}")
    except RecursionError:
        return _broken(1, "a value stands within itself, or too deep")


def _broken(line: int, problem: str) -> Document:
    return Document(None, {(): line}, (Fault((), f"{NO_YAML}{problem}"),))


def _problem(error: yaml.MarkedYAMLError) -> str:
    """Say what PyYAML says, less what it quotes: an unquoted secret may begin with ``*``, ``&`` or ``!``."""
    problem = f"{error.context}, {error.problem}" if (error.problem or "").startswith("but ") else error.problem
    said = re.sub(r" ([\"'])(?:(?!\1).){3,}\1", "", problem or "can't be read")
    begin, end = error.context_mark, error.problem_mark
    since = f" (it began on line {begin.line + 1})" if begin and end and begin.line < end.line else ""
    hint = next((f"; {hint}" for words, hint in HINTS.items() if words in said), "")
    return said.removesuffix(", but found") + since + hint


class _Builder:
    """Makes data of YAML's nodes, and keeps the line of each."""

    def __init__(self, loader: _Loader) -> None:
        self._loader = loader
        self._lines: dict[Path, int] = {}
        self._faults: list[Fault] = []
        self._flat: set[int] = set()

    def build(self) -> Document:
        node = self._loader.get_single_node()
        data = self._value(node, ()) if node else None
        broken = any(fault.message.startswith(NO_YAML) for fault in self._faults)
        return Document(None if broken else data, self._lines, tuple(self._faults))

    def _value(self, node: yaml.Node, path: Path) -> object:
        self._lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return {name: self._value(value, (*path, name)) for name, value in self._entries(node, path)}
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _scalar(self, node: yaml.Node, path: Path) -> object:
        make = SCALARS.get(node.tag)
        if make is None:
            self._fault(path, "a tag without meaning here; put a text that begins with ! in quotes")
            return None
        try:
            return make(node.value)
        except (ValueError, KeyError):
            self._fault(path, f"this is no {node.tag.removeprefix(TAG)} that can be used")
            return None

    def _fault(self, path: Path, problem: str) -> None:
        self._faults.append(Fault(path, NO_YAML + problem))

    def _entries(self, node: yaml.MappingNode, path: Path) -> Iterator[tuple[str, yaml.Node]]:
        """Give keys and values, merged ones too. A key is text whatever it looks like: ``NO``, ``1`` may be labels."""
        if id(node) not in self._flat:
            self._flat.add(id(node))
            self._check(node, path)
            self._loader.flatten_mapping(node)
        # The merged keys come first, so that the mapping's own ones are the last of each name.
        last = {str(key.value): (key, value) for key, value in node.value if isinstance(key, yaml.ScalarNode)}
        for name, (key, value) in last.items():
            self._lines[(*path, name)] = key.start_mark.line + 1
            yield name, value

    def _check(self, node: yaml.MappingNode, path: Path) -> None:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._fault(path, "a key that is no text; put one that begins with { or [ in quotes")
            elif key.value in seen and key.tag != TAG + "merge":
                self._lines[(*path, key.value)] = key.start_mark.line + 1
                self._faults.append(Fault((*path, key.value), "stands twice"))
            else:
                seen.add(key.value)
