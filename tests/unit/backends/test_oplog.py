"""The operation log: what was appended is read again, what was half-written is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fakes.disk import file_size_limit
from hypothesis import given
from hypothesis import strategies as st

from upwhisk.backends.store.oplog import MAGIC, LogDamaged, OperationLog, frame, scan, segment_path, segments


def written(folder: Path, *payloads: bytes) -> Path:
    log = OperationLog(folder)
    log.begin_segment(1, sync=False)
    for payload in payloads:
        log.append(frame(payload), sync=False)
    log.close()
    return segment_path(folder, 1)


def test_frames_are_read_in_order_with_their_offsets(tmp_path: Path) -> None:
    path = written(tmp_path, b"one", b"x" * 100_000, b"three")
    found = list(scan(path))
    assert [payload for _, payload in found] == [b"one", b"x" * 100_000, b"three"]
    assert found[-1][0] == path.stat().st_size


@given(cut=st.integers(0, 60), payloads=st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=4))
def test_a_cut_end_costs_only_what_it_cuts(tmp_path_factory: pytest.TempPathFactory, cut: int, payloads: list[bytes]) -> None:
    path = written(tmp_path_factory.mktemp("log"), *payloads)
    whole = path.read_bytes()
    ends = [end for end, _ in scan(path)]
    left = max(0, len(whole) - cut)
    path.write_bytes(whole[:left])
    assert [payload for _, payload in scan(path)] == payloads[: sum(end <= left for end in ends)]


@given(at=st.integers(0, 200), flip=st.integers(1, 255))
def test_a_changed_byte_ends_the_reading_before_it(tmp_path_factory: pytest.TempPathFactory, at: int, flip: int) -> None:
    payloads = [b"a" * 40, b"b" * 40, b"c" * 40]
    path = written(tmp_path_factory.mktemp("log"), *payloads)
    data = bytearray(path.read_bytes())
    at %= len(data)
    ends = [end for end, _ in scan(path)]
    data[at] ^= flip
    path.write_bytes(bytes(data))
    expected = [] if at < len(MAGIC) else payloads[: sum(end <= at for end in ends)]
    found: list[bytes] = []
    said = ""
    try:
        for _, payload in scan(path):
            found.append(payload)
    except LogDamaged as damaged:
        said = str(damaged)
    # In the last frame, or in a length, nothing intact can be seen behind the change.
    unseen = at >= ends[-2] or (at >= len(MAGIC) and (at - len(MAGIC)) % 48 < 4)
    assert path.name in said or unseen
    assert found == expected


def test_zeros_behind_the_end_are_no_frames(tmp_path: Path) -> None:
    path = written(tmp_path, b"one")
    path.write_bytes(path.read_bytes() + bytes(4096))
    assert [payload for _, payload in scan(path)] == [b"one"]


def test_a_failed_append_leaves_nothing_behind(tmp_path: Path) -> None:
    log = OperationLog(tmp_path)
    log.begin_segment(1, sync=False)
    log.append(frame(b"before"), sync=False)
    with file_size_limit(log.offset + 10), pytest.raises(OSError, match="too large"):
        log.append(frame(b"x" * 100), sync=False)
    log.append(frame(b"after"), sync=True)
    log.close()
    assert [payload for _, payload in scan(segment_path(tmp_path, 1))] == [b"before", b"after"]


def test_segments_are_numbered_and_removed_by_number(tmp_path: Path) -> None:
    log = OperationLog(tmp_path, segment_bytes=50)
    for number in range(1, 5):
        log.begin_segment(number, sync=True)
        assert not log.is_full
        log.append(frame(b"x" * 50), sync=False)
        assert log.is_full
    (tmp_path / "log-notes.txt").write_text("mine")
    log.remove_through(2)
    assert segments(tmp_path) == [3, 4]
    log.close()


def test_without_a_file_the_next_append_begins_one(tmp_path: Path) -> None:
    log = OperationLog(tmp_path)
    log.begin_segment(3, sync=False)
    log.close()
    log.append(frame(b"x"), sync=False)
    log.close()
    assert segments(tmp_path) == [3, 4]
    assert os.path.getsize(segment_path(tmp_path, 4)) == log.offset
