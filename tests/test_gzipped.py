import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.gzipped import Piece, deflate, file, inflate, join

texts = st.binary(max_size=200) | st.binary(max_size=20).map(lambda text: text * 5000)


@given(st.lists(texts, max_size=5), st.integers(0, 5))
def test_pieces_joined_in_any_way_are_one_gzip_member_of_all_texts(parts, cut):
    pieces = [deflate(part) for part in parts]
    whole = b"".join(parts)
    zipped = b"".join(file(join(pieces[:cut]), join(pieces[cut:])))
    assert gzip.decompress(zipped) == whole
    reader = zlib.decompressobj(16 + zlib.MAX_WBITS)
    assert reader.decompress(zipped) == whole
    assert (reader.eof, reader.unused_data) == (True, b"")
    assert inflate(join(pieces)) == whole


def test_nothing_is_a_gzip_file_too():
    assert gzip.decompress(b"".join(file())) == b""
    assert inflate(Piece()) == b""


@pytest.mark.parametrize("at", [-1, -5])
def test_the_checksum_and_the_size_guard_the_text(at):
    zipped = bytearray(b"".join(file(deflate(b"a"), deflate(b"b"))))
    zipped[at] ^= 1
    with pytest.raises(gzip.BadGzipFile):
        gzip.decompress(zipped)
