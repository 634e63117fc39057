"""Compressed bodies that come in pieces, held against what was compressed."""

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.providers.unpack import STEP, unpacker

FORMATS = {"gzip": 31, "deflate": 15, "deflate without a head": -15}
CODINGS = pytest.mark.parametrize("kind", FORMATS)
bodies = st.lists(
    st.one_of(st.binary(max_size=200), st.tuples(st.binary(min_size=1, max_size=3), st.integers(1, 2**19))), max_size=4
).map(lambda parts: [part if isinstance(part, bytes) else part[0] * part[1] for part in parts])


def packed(kind, text, level=-1):
    packer = zlib.compressobj(level, wbits=FORMATS[kind])
    return packer.compress(text) + packer.flush()


def unpacked(coding, body, size):
    unpack = unpacker(coding.partition(" ")[0])
    return [step for start in range(0, len(body), size) for step in unpack(body[start : start + size])]


@CODINGS
@given(bodies, st.integers(1, 300_000), st.integers(0, 9))
def test_a_body_is_what_was_compressed_however_it_comes(kind, parts, size, level):
    steps = unpacked(kind, packed(kind, b"".join(parts), level), size)
    assert b"".join(steps) == b"".join(parts)
    assert all(len(step) <= STEP for step in steps)


@given(bodies, st.integers(1, 300_000))
def test_gzip_may_have_several_members(members, size):
    body = b"".join(gzip.compress(member, mtime=0) for member in members)
    assert b"".join(unpacked("gzip", body, size)) == b"".join(members)


@CODINGS
@pytest.mark.parametrize("size", [1, 7, 2**20])
@pytest.mark.parametrize("more", [b"\0" * 20, b"more", b"x\x1f\x8b"])
def test_what_follows_the_end_is_left_out(kind, size, more):
    assert b"".join(unpacked(kind, packed(kind, b"body") + more, size)) == b"body"


@CODINGS
@pytest.mark.parametrize("size", [1, 2**20])
def test_a_body_without_its_end_is_what_there_is_of_it(kind, size):
    body = packed(kind, bytes(range(256)) * 3000, level=0)
    found = b"".join(unpacked(kind, body[: len(body) // 2], size))
    assert 0 < len(found) < 256 * 3000
    assert (bytes(range(256)) * 3000).startswith(found)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.parametrize("size", [1, 2**20])
def test_what_is_broken_is_an_error(coding, size):
    with pytest.raises(zlib.error):
        unpacked(coding, b"neither of the two", size)


def test_a_second_member_that_is_broken_is_an_error():
    with pytest.raises(zlib.error):
        unpacked("gzip", gzip.compress(b"body", mtime=0) + b"\x1fbroken", 2**20)


@pytest.mark.parametrize("coding", ["", "identity", "br", "zstd", "x"])
def test_what_was_not_asked_for_stays_as_it_is(coding):
    assert unpacked(coding, b"body", 3) == [b"bod", b"y"]


@pytest.mark.parametrize("coding", ["GZIP", " gzip "])
def test_a_coding_is_known_however_it_is_written(coding):
    assert b"".join(unpacker(coding)(gzip.compress(b"body"))) == b"body"


@CODINGS
def test_nothing_holds_nothing(kind):
    assert unpacked(kind, b"", 1) == []
    assert list(unpacker(kind.partition(" ")[0])(b"")) == []
