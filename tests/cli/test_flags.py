from types import SimpleNamespace

import pytest

from exporter.cli import flags


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("queries:\n  - name: a\n  - {name: 1, x: '${UNSET}'}\n  - {}\n  - text\n  - {name: }\n", ["a", "1"]),
        ("queries: {a: b}", []),
        ("queries:", []),
        ("[", []),
        ("", []),
        ("text", []),
    ],
)
def test_the_names_for_completion_come_from_any_file(text, found, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    context = SimpleNamespace(params={"config_file": path})
    assert flags.query_names(context, None, "") == found
