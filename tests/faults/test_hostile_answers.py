"""Answers that no API promises, through the real client over sockets: each fails its poll, and nothing else."""

import asyncio
import gzip
import json
import zlib

import pytest

from exporter.exposition import Exposition, Format
from exporter.gzipped import inflate

ROWS = {"totalrecords": 1, "response": [{"cdn": "Zürich", "views": 7}]}
GOOD = json.dumps(ROWS, ensure_ascii=False).encode()


def http(body, *headers, status="200 OK", length=None):
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body) if length is None else length}"]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def chunked(body, *headers):
    lines = ["HTTP/1.1 200 OK", *headers, "Transfer-Encoding: chunked", "", ""]
    return "\r\n".join(lines).encode() + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


def deflated(body, wbits):
    packer = zlib.compressobj(wbits=wbits)
    return packer.compress(body) + packer.flush()


def nested(levels):
    return b'{"totalrecords": 1, "response": [{"cdn": "Z", "views": ' + b"[" * levels + b"]" * levels + b"}]}"


ZIPPED = gzip.compress(GOOD, mtime=0)
BOMB = gzip.compress(b'{"response": [' + b" " * 2**22 + b"]}", mtime=0)
UNZIP = "Content-Encoding: gzip"

READ = {
    "as promised": http(GOOD),
    "a byte order mark": http(b"\xef\xbb\xbf" + GOOD),
    "UTF-16": http(GOOD.decode().encode("utf-16")),
    "UTF-32": http(GOOD.decode().encode("utf-32")),
    "UTF-8 that is said to be latin-1": http(GOOD, "Content-Type: application/json; charset=iso-8859-1"),
    "JSON that is said to be HTML": http(GOOD, "Content-Type: text/html"),
    "gzip": http(ZIPPED, UNZIP),
    "gzip in chunks": chunked(ZIPPED, UNZIP),
    "GZIP in capitals": http(ZIPPED, "CONTENT-ENCODING: GZIP"),
    "deflate": http(deflated(GOOD, 15), "Content-Encoding: deflate"),
    "deflate as some servers write it": http(deflated(GOOD, -15), "Content-Encoding: deflate"),
    "identity": http(GOOD, "Content-Encoding: identity"),
    "early hints before": b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 20 + http(GOOD),
    "continue before": b"HTTP/1.1 100 Continue\r\n\r\n" + http(GOOD),
    "HTTP/1.0": http(GOOD).replace(b"HTTP/1.1", b"HTTP/1.0"),
    "a thousand cookies": http(GOOD, *(f"Set-Cookie: c{number}=v; Path=/" for number in range(1000))),
    "a reason that is none": http(GOOD, status="200 \xff\xfe"),
    "201": http(GOOD, status="201 Created"),
    "32 levels": http(nested(29)),
    "a megabyte of spaces": http(GOOD + b" " * 2**19),
}

REFUSED = {
    "HTML": http(b"<!doctype html><title>Please log in</title>"),
    "nothing": http(b""),
    "spaces": http(b" \r\n"),
    "204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "205": http(b"", status="205 Reset Content"),
    "latin-1": http(GOOD.decode().encode("latin-1")),
    "truncated JSON": http(GOOD[:-5]),
    "two answers in one": http(GOOD + GOOD),
    "a list": http(b"[]"),
    "a number": http(b"7"),
    "NaN": http(b"NaN"),
    "an error with 200": http(b'{"detail": "Internal error"}'),
    "a bomb": http(BOMB, UNZIP),
    "a bomb in chunks": chunked(BOMB, UNZIP),
    "a bomb of nothing else": http(gzip.compress(b"\0" * 2**25, mtime=0), UNZIP),
    "too large": http(b" " * 2**20 + GOOD),
    "plain text that is said to be gzip": http(GOOD, UNZIP),
    "gzip of which half came": http(ZIPPED[: len(ZIPPED) // 2], UNZIP),
    "gzip with a wrong checksum": http(ZIPPED[:-8] + b"\0" * 8, UNZIP),
    "gzip that is not said to be": http(ZIPPED),
    "gzip in gzip": http(gzip.compress(ZIPPED, mtime=0), UNZIP),
    "gzip in gzip, as it is said to be": http(gzip.compress(ZIPPED, mtime=0), "Content-Encoding: gzip, gzip"),
    "gzip in gzip, said in two lines": http(gzip.compress(ZIPPED, mtime=0), UNZIP, UNZIP),
    "gzip in deflate in gzip": http(b"x", "Content-Encoding: gzip,deflate,gzip"),
    "Brotli": http(b"\x8b\x03\x80{}\x03", "Content-Encoding: br"),
    "33 levels": http(nested(31)),
    "100,000 levels": http(nested(100_000)),
    "100,000 levels without an end": http(b"[" * 100_000),
    "shorter than it says, and kept open no longer": http(GOOD, "Connection: close", length=len(GOOD) + 1),
    "longer than it says": http(GOOD, "Connection: close", length=len(GOOD) - 3),
    "a length that is none": http(GOOD, length="seven"),
    "a negative length": http(GOOD, length=-1),
    "two lengths": http(GOOD, "Content-Length: 3"),
    "a length without end": http(GOOD, "Connection: close", length="9" * 19),
    "chunks that are none": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + GOOD,
    "a chunk without end": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 300 + b"\r\n",
    "a coding of the way that nobody knows": http(GOOD, "Transfer-Encoding: gzip"),
    "HTTP/0.9": GOOD + b"\r\n\r\nConnection: close",
    "SSH": b"SSH-2.0-OpenSSH_9.6\r\nConnection: close\r\n",
    "TLS": b"\x15\x03\x01\x00\x02\x02\x28Connection: close",
    "HTTP/2 without asking": b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x80Connection: close",
    "a status that is none": b"HTTP/1.1 000 Zero\r\nContent-Length: 0\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    "switching protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\nConnection: close",
    "a megabyte of headers": http(GOOD, *(f"X-{number}: {'x' * 1000}" for number in range(1000))),
    "a header of a megabyte": http(GOOD, f"X: {'x' * 2**20}"),
    "a header that is none": http(GOOD, "no colon here"),
    "a NUL in a header": http(GOOD, "X: a\0b"),
    "999": http(GOOD, status="999 What"),
    "a redirect to nowhere": http(b"", "Location: http://[broken", status="302 Found"),
    "a redirect without a target": http(b"", status="301 Moved"),
    "300": http(GOOD, "Location: /other", status="300 Multiple Choices"),
    "304": b"HTTP/1.1 304 Not Modified\r\n\r\n",
    "an error whose explanation is a bomb": http(BOMB, UNZIP, status="500 Oops"),
    "an error without Unicode": http(b'{"detail": "\\ud800 \\u001b[31m"}', status="500 Oops"),
}
REASONS = {"network", "bad_response", "server_error"}


@pytest.fixture
async def vendor(serve, house_at):
    """Poll a vendor whose answer is ``vendor.answer``, and read the label and value that are published."""

    class Vendor:
        answer = http(GOOD)

    vendor = Vendor()
    port = await serve(lambda _: vendor.answer)
    vendor.house = house_at(port, max_response=2**20)
    return vendor


@pytest.mark.parametrize("kind", READ)
async def test_what_is_unusual_but_whole_is_published_as_it_was_written(vendor, kind):
    vendor.answer = READ[kind]
    outcome = await vendor.house.poll()
    assert outcome.reason == ""
    if "levels" in kind:
        assert outcome.dropped == {"invalid": 1}
    else:
        assert vendor.house.values() == {"Zürich": 7}


@pytest.mark.parametrize("kind", REFUSED)
async def test_what_is_hostile_fails_the_poll_and_nothing_else(vendor, kind):
    assert (await vendor.house.poll()).succeeded
    before = vendor.house.snapshot()
    vendor.answer = REFUSED[kind]
    outcome = await vendor.house.poll()
    assert outcome.reason in REASONS
    assert outcome.error.startswith("metricquery: ")
    assert outcome.error.isprintable()
    assert len(outcome.error) < 350
    assert vendor.house.snapshot() is before
    vendor.answer = http(GOOD)
    assert (await vendor.house.poll()).succeeded


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_to_another_host_is_not_followed_and_the_key_not_sent(serve, house_at, status):
    asked = []
    other = await serve(lambda head: asked.append(head) or http(GOOD))
    port = await serve(lambda _: http(b"", f"Location: http://127.0.0.1:{other}/mm-apis", status=f"{status} There"))
    outcome = await house_at(port).poll()
    assert (outcome.reason, asked) == ("bad_response", [])
    assert "redirect" in outcome.error


async def test_a_drip_ends_with_the_time_out(serve, house_at):
    async def drip(writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.001)

    outcome = await house_at(await serve(lambda _: drip), timeout=0.1).poll()
    assert outcome.reason == "timeout"


@pytest.mark.parametrize("line", [b"HTTP/1.1 103 Early Hints\r\n\r\n", b"X-Drip: y\r\n", b"\r\n"])
async def test_headers_without_end_end_too(serve, house_at, line):
    async def drip(writer):
        if line[0] == ord("X"):
            writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(line)
            await writer.drain()
            await asyncio.sleep(0.001)

    outcome = await house_at(await serve(lambda _: drip), timeout=0.1).poll()
    assert outcome.reason in ("timeout", "network")


async def test_an_answer_before_the_question_is_whole_or_an_error(house_at):
    async def at_once(reader, writer):
        writer.write(http(GOOD, "Connection: close"))
        await writer.drain()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(at_once, "127.0.0.1", 0)
    async with server:
        house = house_at(server.sockets[0].getsockname()[1])
        outcome = await house.poll()
        assert house.values() == {"Zürich": 7} if outcome.succeeded else outcome.reason == "network"
        await house.client.aclose()


TWO = (
    {"name": "a", "metrics": ["views"], "dimensions": ["cdn"]},
    {"name": "b", "metrics": ["views"], "dimensions": ["cdn"], "filters": {"platform": "Android"}},
)


async def test_an_answer_too_many_is_not_taken_for_that_of_another_query(serve, house_at):
    def answer(head):
        views = 2 if b"Android" in head else 1
        found = http(json.dumps({"totalrecords": 1, "response": [{"cdn": "c", "views": views}]}).encode())
        return found * (2 if views == 1 else 1)

    house = house_at(await serve(answer), *TWO)
    await house.poll("a")
    outcome = await house.poll("b")
    assert not outcome.succeeded or house.values("b") == {"c": 2}


async def test_cookies_are_not_sent_back(serve, house_at):
    heads = []

    def answer(head):
        heads.append(head)
        return http(GOOD, f"Set-Cookie: c{len(heads)}=v; Path=/; Max-Age=9999")

    house = house_at(await serve(answer))
    for _ in range(20):
        assert (await house.poll()).succeeded
    assert all(b"cookie" not in head.lower() for head in heads)


@pytest.mark.parametrize("size", [1023, 1024, 1025, 2**20])
async def test_a_long_label_drops_its_row_and_none_is_cut(serve, house_at, size):
    rows = [{"cdn": "é" * size, "views": 1}, {"cdn": "short", "views": 2}]
    body = json.dumps({"totalrecords": 2, "response": rows}).encode()
    house = house_at(await serve(lambda _: http(body)))
    outcome = await house.poll()
    if size <= 1024:
        assert house.values() == {"é" * size: 1, "short": 2}
    else:
        assert (house.values(), outcome.dropped) == ({"short": 2}, {"invalid": 1})


async def test_a_vendor_that_answers_junk_for_one_query_does_not_bend_the_other(serve, house_at):
    script = [*REFUSED.values()]

    def answer(head):
        good = http(json.dumps({"totalrecords": 1, "response": [{"cdn": "c", "views": 2}]}).encode())
        return good if b"Android" in head else script.pop()

    house = house_at(await serve(answer), *TWO, max_response=2**20)
    while script:
        await asyncio.gather(house.poll("a"), house.poll("b"))
        assert house.snapshot("a") is None
        assert inflate(Exposition(house.store).body(Format.TEXT)).decode().splitlines()[-1].endswith("} 2")
        assert len([each for each in house.outcomes if each.query.name == "b" and not each.succeeded]) == 0
