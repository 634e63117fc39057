import pytest

from exporter.config import load

SOURCES = """\
sources:
  mm: {type: smartsight, customer_id: 7, auth: {api_key: CANARY}, labels: {env: prod}, limits: {requests_per_minute: 2}}
  old: {type: smartsight, customer_id: 8, auth: {username: u, password: CANARY, token_url: "https://login.example/token"}}
  ibm: {type: ibm_video, auth: {client_id: c, client_secret: CANARY}}
queries:
"""


@pytest.fixture
def configured():
    """Load queries, each given as the inside of a flow mapping, for the sources mm, old and ibm."""

    def configured(*queries):
        return load(SOURCES + "".join(f"  - {{{body}}}\n" for body in queries), name="c.yaml", env={})

    return configured
