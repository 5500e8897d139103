"""A log that was changed after it was written stops the start, with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from upwhisk.backends.store.sqlite import SQLiteStore
from upwhisk.common.errors import DataFolderError
from upwhisk.common.ids import new_activation_id
from upwhisk.common.model.activation import Activation, succeeded


def record() -> Activation:
    return Activation(
        namespace="ns",
        name="a",
        version="0.0.1",
        subject="guest",
        activation_id=new_activation_id(),
        start=1_754_400_000_000,
        response=succeeded({}),
    )


async def test_a_changed_byte_is_told(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "data")
    await store.start()
    for _ in range(3):
        assert await store.journal.settle(record())
    await store.abandon()
    log = max((tmp_path / "data").glob("log-*"))
    data = bytearray(log.read_bytes())
    data[60] ^= 1
    log.write_bytes(bytes(data))
    with pytest.raises(DataFolderError, match="truncate -s 8") as caught:
        await SQLiteStore(tmp_path / "data").start()
    assert "admin restore BACKUP" in str(caught.value)
    log.write_bytes(bytes(data[:8]))
    again = SQLiteStore(tmp_path / "data")
    await again.start()
    await again.aclose()
