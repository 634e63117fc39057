"""``${NAME}`` and ``${NAME:-default}`` in the texts of a file; ``$$`` is a literal ``$``."""

import re
from collections.abc import Callable, Mapping

from exporter.providers.base import Fault

REFERENCE = re.compile(r"\$\$|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}|(?P<open>\$\{)")

Path = tuple[str | int, ...]


def expand(data: object, env: Mapping[str, str], report: Callable[[Fault], None], path: Path = ()) -> object:
    """Give the data with all references replaced; what can't be replaced is reported and stays as it is.

    A variable's value is taken as it is: a ``$`` in it means nothing.
    """
    if isinstance(data, dict):
        return {key: expand(value, env, report, (*path, key)) for key, value in data.items()}
    if isinstance(data, list):
        return [expand(value, env, report, (*path, index)) for index, value in enumerate(data)]
    if not isinstance(data, str) or "$" not in data:
        return data

    def replace(match: re.Match[str]) -> str:
        if match["open"]:
            report(
                Fault(
                    path,
                    "has a `${` that is no reference: write `${NAME}`, `${NAME:-default}`, or `$$` for a `$`",
                )
            )
            return match[0]
        if match["name"] is None:
            return "$"
        value = env.get(match["name"])
        # As in a shell, `:-` stands in for an empty variable too.
        if value is None or (match["default"] is not None and not value):
            value = match["default"]
        if value is None:
            report(
                Fault(
                    path,
                    f"the environment variable {match['name']} is not set; `${{{match['name']}:-…}}` gives a default",
                )
            )
            return match[0]
        return value

    return REFERENCE.sub(replace, data)
