import asyncio
import gzip
import hashlib
import math
import os
import ssl
import threading
import zlib

import httpx
import pytest
import trustme
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.config import ConfigError, load
from exporter.exposition import Format
from exporter.told import Told
from exporter.web.listen import bind, serve
from exporter.web.metrics import SHARE

PARSE = {Format.TEXT: parse_text, Format.OPENMETRICS: parse_openmetrics}
ROWS = [{"cdn": '100 % "Akamai" \\ \n😀', "plays": 5}, {"cdn": "b", "plays": 0.25}]


@pytest.fixture
async def client(served, client_of):
    async with client_of(served.metrics) as client:
        yield client


@pytest.fixture
def query(make_query):
    return make_query(dimensions=("cdn",))


async def raw(client, method="GET", **headers):
    """Give a response and its body as it was sent, not unzipped."""
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    async with client.stream(method, "/metrics", headers=headers) as response:
        return response, b"".join([part async for part in response.aiter_raw()])


def data(text, form):
    """The samples of the vendors: every family but the exporter's own."""
    families = [family for family in PARSE[form](text) if family.name.startswith("smartsight_")]
    return {
        (sample.name, frozenset(sample.labels.items())): float(sample.value)
        for family in families
        for sample in family.samples
    }


def expected(rows):
    own = {"source": "mm", "query": "q"}
    return {("smartsight_plays", frozenset({**own, "cdn": row["cdn"]}.items())): row["plays"] for row in rows}


@pytest.mark.parametrize("form", Format)
@pytest.mark.parametrize("coding", ["gzip", "identity"])
async def test_data_and_own_metrics_in_each_format_and_coding(served, client, query, form, coding):
    served.swap(query, ROWS)
    response, body = await raw(client, accept=form.value, accept_encoding=coding)
    assert response.status_code == 200
    assert response.headers["content-type"] == form.value
    assert response.headers["content-length"] == str(len(body))
    assert {name.strip() for name in response.headers["vary"].split(",")} == {"accept", "accept-encoding"}
    assert response.headers.get("content-encoding") == (None if coding == "identity" else "gzip")
    text = (gzip.decompress(body) if coding == "gzip" else body).decode()
    assert data(text, form) == expected(ROWS)
    assert "\nvideo_analytics_exporter_build_info{" in text
    assert text.endswith("\n# EOF\n") is (form is Format.OPENMETRICS)
    assert text.count("# EOF") == (form is Format.OPENMETRICS)


@pytest.mark.parametrize("form", Format)
async def test_before_the_first_poll_there_are_own_metrics_only(client, form):
    for coding in ("gzip", "identity"):
        response, body = await raw(client, accept=form.value, accept_encoding=coding)
        assert response.status_code == 200
        text = (gzip.decompress(body) if coding == "gzip" else body).decode()
        assert data(text, form) == {}
        assert "video_analytics_exporter_build_info" in text


async def test_a_client_that_reads_one_gzip_member_reads_all(served, client, query):
    served.swap(query, ROWS)
    _, body = await raw(client, accept_encoding="gzip")
    reader = zlib.decompressobj(16 + zlib.MAX_WBITS)
    assert b"smartsight_plays" in (text := reader.decompress(body))
    assert b"video_analytics_exporter_build_info" in text
    assert (reader.eof, reader.unused_data) == (True, b"")


async def test_a_client_without_wishes_gets_plain_text(served, client, query):
    served.swap(query, ROWS)
    response, body = await raw(client)
    assert response.headers["content-type"] == Format.TEXT.value
    assert "content-encoding" not in response.headers
    assert data(body.decode(), Format.TEXT) == expected(ROWS)


async def test_a_header_that_comes_in_two_lines_is_one_list(served, client, query):
    """RFC 9110, section 5.3: a recipient may combine lines of the same name into one."""
    served.swap(query, ROWS)
    lines = [("accept", Format.OPENMETRICS.value), ("accept", "text/plain;q=0.1")]
    codings = [("accept-encoding", "gzip"), ("accept-encoding", "br")]
    response = await client.get("/metrics", headers=[*lines, *codings])
    assert response.headers["content-type"] == Format.OPENMETRICS.value
    assert response.headers.get("content-encoding") == "gzip"


@pytest.mark.parametrize("coding", ["gzip", "identity"])
async def test_head_is_get_without_the_body(served, client, query, coding):
    served.swap(query, ROWS)
    get, body = await raw(client, accept_encoding=coding)
    head, nothing = await raw(client, "HEAD", accept_encoding=coding)
    assert (head.status_code, nothing) == (200, b"")
    assert len(body) > 0
    assert head.headers.keys() == get.headers.keys()
    assert head.headers["content-type"] == get.headers["content-type"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_other_methods_are_refused(client, method):
    response, body = await raw(client, method)
    assert response.status_code == 405
    assert {name.strip() for name in response.headers["allow"].split(",")} == {"GET", "HEAD"}
    assert body == b""


async def test_a_scrape_sees_each_swap_whole_and_nothing_that_is_too_old(served, client, query):
    for rows in (ROWS, ROWS[:1], [{"cdn": "new", "plays": 1}]):
        served.swap(query, rows)
        _, body = await raw(client)
        assert data(body.decode(), Format.TEXT) == expected(rows)
    served.clock.now = query.max_age
    _, body = await raw(client)
    assert data(body.decode(), Format.TEXT) == {}


@pytest.mark.parametrize("form", Format)
async def test_a_large_body_comes_whole_too(served, client, make_query, form):
    query = make_query(dimensions=("cdn",), max_series=30_000)
    rows = [{"cdn": f"a-cdn-with-a-long-name-{number}", "plays": number} for number in range(20_000)]
    served.swap(query, rows)
    for coding in ("gzip", "identity"):
        _, body = await raw(client, accept=form.value, accept_encoding=coding)
        text = gzip.decompress(body) if coding == "gzip" else body
        assert len(text) > 4 * SHARE
        assert text.count(b"\nsmartsight_plays{") == len(rows)
        assert text.count(b"\n# TYPE smartsight_plays gauge\n") + text.startswith(b"# TYPE smartsight_plays") == 1


@pytest.mark.parametrize("coding", ["gzip", "identity"])
async def test_clients_share_the_bytes_and_take_turns(served, make_query, coding):
    query = make_query(dimensions=("cdn",), max_series=60_000)
    served.swap(query, [{"cdn": hashlib.sha256(b"%d" % n).hexdigest() * 4, "plays": n} for n in range(20_000)])
    parts, others = [], []

    async def send(message):
        if body := message.get("body"):
            parts.append(body)
            others.append(turns)

    async def other():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    turns = 0
    neighbour = asyncio.create_task(other())
    scope = {"type": "http", "method": "GET", "headers": [(b"accept-encoding", coding.encode())]}
    await served.metrics(scope, None, send)
    neighbour.cancel()
    assert len(parts) > 4
    assert max(map(len, parts)) <= 2 * SHARE
    assert len(set(others)) > 2
    if coding == "gzip":
        whole = served.metrics._exposition.body(Format.TEXT).blocks
        assert sum(len(part) for part in parts if part.obj is whole) == len(whole)


async def test_a_scrape_is_two_writes_of_bytes_that_all_clients_share(served, query):
    served.swap(query, ROWS)
    scrapes = []

    async def send(message):
        scrapes[-1].append(message)

    scope = {"type": "http", "method": "GET", "headers": [(b"accept-encoding", b"gzip")]}
    for _ in range(3):
        scrapes.append([])
        await served.metrics(scope, None, send)
    assert [[message["type"] for message in scrape] for scrape in scrapes] == [
        ["http.response.start", "http.response.body"]
    ] * 3
    first, second, third = (body for _, body in scrapes)
    assert first["body"].obj is second["body"].obj is third["body"].obj


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
@pytest.mark.parametrize("coding", ["gzip", "identity"])
async def test_a_hundred_scrapes_at_once_all_get_the_same(served, make_query, coding, tls):
    query = make_query(dimensions=("cdn",), max_series=30_000)
    served.swap(query, [{"cdn": f"a-cdn-with-a-long-name-{number}", "plays": number} for number in range(5_000)])
    authority, trusting = trustme.CA(), ssl.create_default_context()
    authority.configure_trust(trusting)

    def context():
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost").configure_cert(context)
        return context

    bound = bind("127.0.0.1:0")
    url = f"{'https' if tls else 'http'}://localhost:{bound.getsockname()[1]}"
    limits = httpx.Limits(max_connections=None)
    async with (
        serve(served.metrics, [bound], context if tls else None),
        httpx.AsyncClient(base_url=url, trust_env=False, timeout=60, verify=trusting, limits=limits) as client,
    ):
        answers = await asyncio.gather(*(raw(client, accept_encoding=coding) for _ in range(100)))
    assert {response.status_code for response, _ in answers} == {200}
    texts = [(gzip.decompress(body) if coding == "gzip" else body).decode() for _, body in answers]
    # The exporter's own metrics tell of the process: its time goes on from one scrape to the next.
    (vendors,) = {text.partition("# HELP python_")[0].partition("# HELP process_")[0] for text in texts}
    assert vendors.count("\nsmartsight_plays{") == 5_000


async def test_own_metrics_are_those_of_the_moment(served, client):
    for requests in (1, 2):
        served.telemetry.throttled("mm", 1.0)
        _, body = await raw(client, accept_encoding="gzip")
        assert f'api_throttled_seconds_total{{source="mm"}} {requests}.0' in gzip.decompress(body).decode()


@pytest.fixture
def written(monkeypatch):
    """How often the own metrics were written; ``at_work`` is called each time, in the thread that does it.

    ``passing`` is how often those were that change all the time.
    """

    class Written(list):
        at_work = staticmethod(lambda: None)
        passing = 0

    written, render = Written(), Told.render

    def noting(told, form):
        if any(family.name.startswith("process_") for family in told.families):
            written.passing += 1
            return render(told, form)
        written.append(form)
        written.at_work()
        return render(told, form)

    monkeypatch.setattr(Told, "render", noting)
    return written


def broken():
    raise MemoryError


async def test_own_metrics_are_written_once_until_something_changes(served, client, query, written):
    for _ in range(5):
        await raw(client, accept_encoding="gzip")
        await raw(client)
    assert written == [Format.TEXT]
    await raw(client, accept=Format.OPENMETRICS.value)
    assert written == [Format.TEXT, Format.OPENMETRICS]
    served.swap(query, ROWS)
    await raw(client)
    assert len(written) == 2, "only the data is new"
    served.telemetry.throttled("mm", 1.0)
    await raw(client)
    assert len(written) == 3


async def test_what_the_process_tells_is_no_older_than_a_second(served, client, written):
    for moment in (0.0, 0.9, 1.0, 1.5, 2.0):
        served.clock.now = moment
        await raw(client)
    assert written.passing == 3
    assert written == [Format.TEXT], "what did not change is not written again"


async def test_what_a_broken_writing_left_is_not_taken_for_what_is_so(served, client, written):
    await raw(client)
    served.telemetry.throttled("mm", 1.0)
    written.at_work = broken
    with pytest.raises(MemoryError):
        await raw(client)
    written.at_work = lambda: None
    served.clock.now += 1
    assert "api_throttled_seconds_total{" in (await raw(client))[1].decode()


@pytest.mark.parametrize("form", Format)
async def test_all_own_metrics_are_there_again_when_only_the_process_is_told_anew(served, client, form):
    names = []
    for _ in range(2):
        text = (await raw(client, accept=form.value))[1].decode()
        names.append([line for line in text.splitlines() if line.startswith("#")])
        served.clock.now += 1
    assert names[0] == names[1]
    assert names[0].count("# EOF") == (form is Format.OPENMETRICS)


async def test_a_hundred_scrapes_at_once_share_one_writing(client, written):
    go_on = threading.Event()
    written.at_work = lambda: go_on.wait(20)
    scrapes = [asyncio.create_task(raw(client)) for _ in range(100)]
    while not written:  # noqa: ASYNC110 - a thread begins
        await asyncio.sleep(0.001)
    go_on.set()
    assert {response.status_code for response, _ in await asyncio.gather(*scrapes)} == {200}
    assert len(written) == 1


async def test_data_and_own_metrics_are_of_one_moment(served, client, make_query, written):
    """What is swapped in while own metrics are written is for the next scrape, with what is said of it."""
    query, go_on = make_query(dimensions=("cdn",)), threading.Event()
    written.at_work = lambda: go_on.wait(20)
    served.swap(query, ROWS)
    scrape = asyncio.create_task(raw(client))
    while not written:  # noqa: ASYNC110 - a thread begins
        await asyncio.sleep(0.001)
    served.swap(query, ROWS[:1])
    served.telemetry.throttled("mm", 1.0)
    go_on.set()
    text = (await scrape)[1].decode()
    assert data(text, Format.TEXT) == expected(ROWS)
    assert "api_throttled_seconds_total{" not in text
    text = (await raw(client))[1].decode()
    assert data(text, Format.TEXT) == expected(ROWS[:1])
    assert "api_throttled_seconds_total{" in text


async def test_a_writing_that_breaks_does_not_break_the_next(client, written):
    written.at_work = broken
    with pytest.raises(MemoryError):
        await raw(client)
    written.at_work = lambda: None
    assert (await raw(client))[0].status_code == 200


@pytest.mark.parametrize("form", Format)
async def test_sums_survive_the_way(served, client, query, form):
    rows = [{"cdn": str(number), "plays": 0.1 * number} for number in range(100)]
    served.swap(query, rows)
    _, body = await raw(client, accept=form.value)
    assert math.fsum(data(body.decode(), form).values()) == math.fsum(row["plays"] for row in rows)


# A place for a text of the configuration in each of what reaches /metrics.
PLACES = {
    "query name": {"name": "TEXT"},
    "source label": {"label": "TEXT"},
    "help": {"help": "TEXT"},
    "empty label": {"empty": "TEXT"},
    "source name": {"source": "TEXT"},
}
CONFIG = """
sources:
  {source}:
    type: smartsight
    customer_id: 1
    auth: {{api_key: k}}
    labels: {{environment: {label}}}
queries:
  - name: {name}
    source: {source}
    dimensions: [cdn]
    empty_label: {empty}
    metrics: [{{field: plays, name: smartsight_plays, help: {help}}}]
"""
NOT_UTF8 = os.fsdecode(b"caf\xe9")  # how Python holds a variable in another encoding


@pytest.mark.parametrize("text", [r'"\ud800"', '"${CITY}"'], ids=["lone surrogate", "variable that is no UTF-8"])
@pytest.mark.parametrize("place", PLACES)
async def test_a_text_of_the_configuration_that_utf8_cannot_spell_is_refused_or_replaced(served, client, place, text):
    words = dict.fromkeys(("source", "label", "name", "empty", "help"), "fine")
    words |= dict.fromkeys(PLACES[place], text)
    try:
        (query,) = load(CONFIG.format(**words), name="config.yaml", env={"CITY": NOT_UTF8}).queries
    except ConfigError:
        return
    served.telemetry.configured([query])
    served.swap(query, [{"plays": 5}])
    response, body = await raw(client)
    assert response.status_code == 200
    assert list(data(body.decode(), Format.TEXT).values()) == [5]
