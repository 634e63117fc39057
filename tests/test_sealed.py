import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import sealed

KIND = b"a kind 1\n"


def flipped(whole, at):
    return whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]


@given(content=st.binary())
def test_what_is_written_is_read(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("sealed") / "below" / "file.x"
    sealed.write(path, KIND, b"before")
    sealed.write(path, KIND, content)
    assert sealed.read(path, KIND) == content
    assert [each.name for each in path.parent.iterdir()] == ["file.x"]


@pytest.mark.parametrize("place", range(len(KIND) + sealed.SIZE + 3))
@pytest.mark.parametrize("harm", [lambda whole, at: whole[:at], flipped])
def test_a_file_that_is_cut_or_changed_anywhere_is_refused(tmp_path, place, harm):
    path = tmp_path / "file.x"
    sealed.write(path, KIND, b"abc")
    path.write_bytes(harm(path.read_bytes(), place))
    with pytest.raises(ValueError, match="damaged"):
        sealed.read(path, KIND)


def test_a_file_of_another_kind_is_refused(tmp_path):
    sealed.write(tmp_path / "file.x", b"other\n", b"abc")
    with pytest.raises(ValueError, match="something else"):
        sealed.read(tmp_path / "file.x", KIND)


def test_a_directory_is_no_file(tmp_path):
    with pytest.raises(ValueError, match="no file"):
        sealed.read(tmp_path, KIND)


def test_what_was_there_stays_where_the_new_one_cannot_be_written(tmp_path):
    path = tmp_path / "file.x"
    sealed.write(path, KIND, b"old")
    (tmp_path / "file.new").mkdir()
    with pytest.raises(OSError, match="directory"):
        sealed.write(path, KIND, b"new")
    assert sealed.read(path, KIND) == b"old"
