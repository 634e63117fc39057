import pytest

from exporter.config import ConfigError, load

SOURCES = """\
sources:
  mm: {type: smartsight, customer_id: 1, auth: {api_key: k}}
  ibm: {type: ibm_video, auth: {client_id: c, client_secret: s}}
queries:
"""


@pytest.fixture
def configured():
    """Load a configuration with the variables that are given; none comes from the real environment."""

    def configured(text, **env):
        return load(text, name="c.yaml", env=env)

    return configured


@pytest.fixture
def query(configured):
    """Load one query, given as the inside of a flow mapping, and give it completed."""

    def query(body, source="mm", defaults="", **env):
        return configured(f"{defaults}{SOURCES}  - {{name: q, source: {source}, {body}}}\n", **env).queries[0]

    return query


@pytest.fixture
def errors(configured):
    """Load a wrong configuration and give the lines of its error."""

    def errors(text, **env):
        with pytest.raises(ConfigError) as caught:
            configured(text, **env)
        assert str(caught.value).splitlines() == list(caught.value.lines), "one error a line"
        return list(caught.value.lines)

    return errors


@pytest.fixture
def query_errors(errors):
    """Give the errors of one query (it stands on line 5), without the file, the line and the query's path."""

    def query_errors(body, source="mm", **env):
        lines = errors(f"{SOURCES}  - {{name: q, source: {source}, {body}}}\n", **env)
        return [line.removeprefix("c.yaml:5: queries[0].") for line in lines]

    return query_errors
