"""From rules to Prometheus' files: the little YAML that this needs, as the rest of the house reads YAML only."""

import json
from collections.abc import Iterable, Iterator

from exporter.model import Labels
from exporter.rules.model import Group, Recording, Rule

HEAD = "# Made by `video-analytics-exporter rules`: a change belongs into the configuration or the generator.\n"


def render(groups: Iterable[Group], runbooks: str) -> str:
    """Write a file of rules; ``runbooks`` is where the runbooks are, a path or a URL."""
    return HEAD + "".join(f"{line}\n" for line in ("groups:", *_lines(groups, runbooks)))


def _lines(groups: Iterable[Group], runbooks: str) -> Iterator[str]:
    for group in groups:
        yield f"  - name: {group.name}"
        yield "    rules:"
        for rule in group.rules:
            yield from _rule(rule, runbooks)


def _rule(rule: Rule, runbooks: str) -> Iterator[str]:
    yield f"      - {'record' if isinstance(rule, Recording) else 'alert'}: {rule.name}"
    yield "        expr: |-"
    yield from (f"          {line}" for line in rule.expr.splitlines())
    if not isinstance(rule, Recording):
        yield f"        for: {rule.hold}"
    yield from _mapping("labels", rule.labels)
    if not isinstance(rule, Recording):
        yield from _mapping("annotations", tuple(rule.annotations(runbooks).items()))


def _mapping(name: str, pairs: Labels) -> Iterator[str]:
    if pairs:
        yield f"        {name}:"
        # What JSON calls a string, YAML does too.
        yield from (f"          {key}: {json.dumps(value)}" for key, value in pairs)
