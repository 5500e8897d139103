"""Unpacking what strangers made: nothing lands outside the folder, and nothing but `BadArchive` comes out."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upwhisk.runtimes.proxy.upwhisk_guest.archive import BadArchive, is_zip, unpack_zip

PARTS = st.sampled_from(["..", ".", "", "a", "b", "c", "é", "\\", "C:", "~", "a\x00b", "con", " ", "*"])
NAMES = st.one_of(
    st.lists(PARTS, min_size=1, max_size=5).map("/".join),
    st.text(min_size=1, max_size=30),
)
KINDS = st.sampled_from(
    [0, stat.S_IFREG | 0o644, stat.S_IFLNK | 0o777, stat.S_IFDIR | 0o755, stat.S_IFIFO, stat.S_IFCHR]
)


def archive_of(entries: list[tuple[str, int, str]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, mode, content in entries:
            info = zipfile.ZipInfo("placeholder")
            info.filename = name  # the constructor would cut the name at a NUL
            info.external_attr = mode << 16
            archive.writestr(info, content)
    return buffer.getvalue()


@settings(max_examples=300, deadline=None)
@given(entries=st.lists(st.tuples(NAMES, KINDS, st.one_of(NAMES, st.text(max_size=20))), max_size=6))
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_nothing_lands_or_leads_outside(entries: list[tuple[str, int, str]]) -> None:
    try:
        data = archive_of(entries)
    except (UnicodeEncodeError, ValueError):
        return  # no zip can hold such a name
    with tempfile.TemporaryDirectory() as outer:
        folder = Path(outer).resolve() / "inside" / "folder"
        folder.mkdir(parents=True)
        try:
            unpack_zip(data, str(folder))
        except BadArchive:
            pass  # refused; what it wrote before must be inside all the same
        assert [path.name for path in Path(outer).iterdir()] == ["inside"]
        assert [path.name for path in folder.parent.iterdir()] == ["folder"]
        for root, folders, files in os.walk(folder):
            for name in (*folders, *files):
                end = Path(os.path.realpath(os.path.join(root, name)))
                assert end == folder or folder in end.parents


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_damaged_archives_are_refused_cleanly(data: st.DataObject) -> None:
    whole = bytearray(
        archive_of([("a/b.txt", 0, "x" * 200), ("c", stat.S_IFLNK | 0o777, "a/b.txt"), ("d", 0, "")])
    )
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(BadArchive):
        unpack_zip(bytes(whole[: data.draw(st.integers(1, len(whole)))]), folder)


def test_content_and_modes(tmp_path: Path) -> None:
    unpack_zip(
        archive_of([("x/run", stat.S_IFREG | 0o755, "run"), ("y", stat.S_IFREG, "y"), ("z/", 0, "")]),
        str(tmp_path),
    )
    assert (tmp_path / "x/run").read_text() == "run"
    assert (tmp_path / "x/run").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "y").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "z").is_dir()


def test_bounds(tmp_path: Path) -> None:
    data = archive_of([(f"f{n}", 0, "x" * 1000) for n in range(10)])
    with pytest.raises(BadArchive, match="content is too large"):
        unpack_zip(data, str(tmp_path), max_bytes=9_999)
    with pytest.raises(BadArchive, match="more than 9 entries"):
        unpack_zip(data, str(tmp_path), max_files=9)


def test_a_lie_about_the_size_does_not_help(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", b"\0" * 1_000_000)
    data = bytearray(buffer.getvalue())
    at = data.rfind(b"PK\x01\x02")
    data[at + 24 : at + 28] = (10).to_bytes(4, "little")
    with pytest.raises(BadArchive):
        unpack_zip(bytes(data), str(tmp_path), max_bytes=100_000)
    assert sum(file.stat().st_size for file in tmp_path.rglob("*")) <= 100_000


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_rare_compressions(tmp_path: Path, method: int) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("a", "x" * 100)
    with pytest.raises(BadArchive, match="compressed in a way that is not supported"):
        unpack_zip(buffer.getvalue(), str(tmp_path))


def test_what_is_a_zip() -> None:
    assert is_zip(archive_of([]))
    assert is_zip(archive_of([("a", 0, "")]))
    assert not is_zip(b"def main(args): pass")
    assert not is_zip(b"PK")
