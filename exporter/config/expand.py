"""``${NAME}`` and ``${NAME:-default}`` in the texts of a file; ``$$`` is a literal ``$``."""

import re
from collections.abc import Callable, Mapping

from exporter.providers.base import Fault

REFERENCE = re.compile(
    r"\$\$"
    r"|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>(?:[^}$]|\$(?!\{)|\$\{[^}]*\})*))?\}"
    r"|(?P<open>\$\{)"
)
"""A dollar, a reference (its default may hold references), or what only begins like one."""

Path = tuple[str | int, ...]


def expand(data: object, env: Mapping[str, str], report: Callable[[Fault], None], path: Path = ()) -> object:
    """Give the data with all references replaced; what can't be replaced is reported and stays as it is.

    A variable's value is taken as it is: a ``$`` in it means nothing.
    """
    if isinstance(data, dict):
        return {key: expand(value, env, report, (*path, key)) for key, value in data.items()}
    if isinstance(data, list):
        return [expand(value, env, report, (*path, index)) for index, value in enumerate(data)]
    if not isinstance(data, str):
        return data

    def replace(match: re.Match[str]) -> str:
        if match["open"]:
            report(
                Fault(path, "has a `${` that is no reference; write `${NAME}` or `${NAME:-default}`, or `$$` for `$`")
            )
            return match[0]
        name, default = match["name"], match["default"]
        if name is None:
            return "$"
        # As in a shell, a default stands in for an empty variable too.
        if env.get(name) or (name in env and default is None):
            return env[name]
        if default is None:
            report(Fault(path, f"the environment variable {name} is not set; `${{{name}:-…}}` gives a default"))
            return match[0]
        return REFERENCE.sub(replace, default)

    return REFERENCE.sub(replace, data)
