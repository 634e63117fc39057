import pytest

from exporter.web.app import PAGES, app


@pytest.fixture
async def client(served, shown, client_of):
    async with client_of(app(served.metrics, "/metrics", shown.state)) as client:
        yield client


# --- Health and readiness ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("alive", "status"), [(True, 200), (False, 503)])
async def test_healthy_while_the_scheduler_runs(client, shown, alive, status):
    shown.alive = alive
    assert (await client.get("/-/healthy")).status_code == status


async def test_ready_once_the_first_poll_of_every_query_has_ended_well_or_badly(client, shown, make_query):
    queries = [make_query(name="one"), make_query(name="two"), make_query(name="two", source="other")]
    shown.ask(*queries)
    statuses = [(await client.get("/-/ready")).status_code]
    for query, reason in zip(queries, ("", "timeout", "auth"), strict=True):
        shown.end(query, reason=reason)
        statuses.append((await client.get("/-/ready")).status_code)
    assert statuses == [503, 503, 503, 200]


async def test_a_new_query_after_a_reload_makes_it_wait_again_and_an_old_one_does_not_help(client, shown, make_query):
    old, new = make_query(name="old"), make_query(name="new")
    shown.ask(old)
    shown.end(old)
    assert (await client.get("/-/ready")).status_code == 200
    shown.ask(new)
    assert (await client.get("/-/ready")).status_code == 503


@pytest.mark.parametrize("path", [path for path in PAGES if path not in ("/query", "/-/reload")])
async def test_pages_take_get_and_head_only(client, path):
    get, head, post = await client.get(path), await client.head(path), await client.post(path)
    assert (get.status_code, head.status_code, post.status_code) == (200, 200, 405)
    assert head.content == b""
    assert {name.strip() for name in post.headers["allow"].split(",")} == {"GET", "HEAD"}


# --- Routes -----------------------------------------------------------------------------------------------------------


async def test_unknown_paths_are_not_found(client):
    for path in ("/nothing", "/metrics/more", "/-/", "/METRICS", "/-/quit"):
        assert (await client.get(path)).status_code == 404, path


async def test_the_metrics_are_where_the_flag_says(served, shown, client_of):
    async with client_of(app(served.metrics, "/internal/metrics", shown.state)) as client:
        assert b"build_info" in (await client.get("/internal/metrics?x=1")).content
        assert (await client.get("/metrics")).status_code == 404


async def test_every_page_has_the_headers_of_a_careful_host(client, shown, make_query):
    shown.ask(make_query())
    for path in (*PAGES, "/nothing", "/query?source=mm&name=q"):
        headers = (await client.get(path)).headers
        policy = dict(each.split(maxsplit=1) for each in headers["content-security-policy"].split("; "))
        assert policy.pop("default-src") == policy.pop("base-uri") == policy.pop("frame-ancestors") == "'none'", path
        assert set(policy.values()) == {"'self'"}, path
        careful = (headers["x-content-type-options"], headers["x-frame-options"], headers["referrer-policy"])
        assert careful == ("nosniff", "DENY", "no-referrer"), path
