import httpx

from exporter.web.access.headers import add


async def hello(_, __, send):
    own = [(b"Content-Security-Policy", b"default-src 'none'"), (b"vary", b"accept")]
    await send({"type": "http.response.start", "status": 404, "headers": own})
    await send({"type": "http.response.body", "body": b"hello\n"})


async def headers_of(added):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(add(hello, lambda: added))) as client:
        response = await client.get("http://exporter/")
        assert response.text == "hello\n"
        return response.headers.multi_items()


async def test_headers_are_added_and_replace_the_application_s_own():
    added = ((b"content-security-policy", b"default-src 'self'"), (b"x-frame-options", b"deny"))
    assert await headers_of(added) == [
        ("vary", "accept"),
        ("content-security-policy", "default-src 'self'"),
        ("x-frame-options", "deny"),
    ]


async def test_without_headers_nothing_changes():
    assert await headers_of(()) == [("content-security-policy", "default-src 'none'"), ("vary", "accept")]


async def test_what_is_no_request_is_handed_on():
    reached = []

    async def app(scope, *_):
        reached.append(scope["type"])

    await add(app, lambda: ((b"x-frame-options", b"deny"),))({"type": "lifespan"}, None, None)
    assert reached == ["lifespan"]
