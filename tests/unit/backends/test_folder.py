"""The data folder: who may use it, and what is said when it cannot be used."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes.samples import record

from upwhisk.backends.store import schema
from upwhisk.backends.store.sqlite import SQLiteStore
from upwhisk.common.errors import DataFolderError
from upwhisk.common.model.identity import NamespaceKey, Subject
from upwhisk.common.spi.store import ActivationQuery

DATA = "data"
MakeStore = Callable[..., SQLiteStore]


async def test_nobody_else_may_look_inside(make_store: MakeStore, tmp_path: Path) -> None:
    (tmp_path / DATA).mkdir(mode=0o755)
    async with make_store() as store:
        await store.journal.settle(record())
        await store.activations.count(ActivationQuery(namespace="guest"))
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / DATA).iterdir()}
    assert stat.S_IMODE((tmp_path / DATA).stat().st_mode) == 0o700
    assert set(modes.values()) == {0o600}, modes


async def test_a_second_instance_is_told_who_has_the_folder(make_store: MakeStore) -> None:
    async with make_store():
        with pytest.raises(DataFolderError, match=rf"in use by process {os.getpid()}: stop it first"):
            await make_store().start()
    async with make_store():
        pass


async def test_the_lock_of_a_killed_process_is_not_in_the_way(make_store: MakeStore, tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from upwhisk.backends.store.folder import DataFolder;"
        "DataFolder(pathlib.Path(sys.argv[1])).acquire(); print('locked', flush=True); sys.stdin.read()"
    )
    arguments = [sys.executable, "-c", code, str(tmp_path / DATA)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"locked\n"
        with pytest.raises(DataFolderError, match=f"process {child.pid}"):
            await make_store().start()
        child.kill()
        child.wait()
        async with make_store():
            pass


async def test_a_newer_format_is_refused(make_store: MakeStore, tmp_path: Path) -> None:
    async with make_store():
        pass
    with sqlite3.connect(tmp_path / DATA / "upwhisk.db") as connection:
        connection.execute(f"PRAGMA user_version = {schema.FORMAT + 1}")
    connection.close()
    with pytest.raises(DataFolderError, match=rf"data format {schema.FORMAT + 1}.*reads up to {schema.FORMAT}"):
        await make_store().start()


async def test_an_older_format_is_migrated_in_one_transaction(tmp_path: Path) -> None:
    path = tmp_path / "upwhisk.db"
    connection = schema.open_database(path, durability="process")

    def step_one(c: sqlite3.Connection) -> None:
        c.execute("CREATE TABLE added(x)")

    def step_two(c: sqlite3.Connection) -> None:
        c.execute("INSERT INTO added VALUES(2)")

    def fails(c: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("no")

    newest = schema.FORMAT + 2
    with pytest.raises(sqlite3.OperationalError):
        schema.bring_up(connection, path, {schema.FORMAT: step_one, schema.FORMAT + 1: fails}, newest)
    assert schema.version_of(connection) == schema.FORMAT
    assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'added'").fetchone() == (0,)
    schema.bring_up(connection, path, {schema.FORMAT: step_one, schema.FORMAT + 1: step_two}, newest)
    assert schema.version_of(connection) == newest
    assert connection.execute("SELECT x FROM added").fetchall() == [(2,)]
    connection.close()


async def test_a_format_that_no_migration_knows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "upwhisk.db"
    connection = schema.open_database(path, durability="process")
    with pytest.raises(DataFolderError, match="no longer migrates"):
        schema.bring_up(connection, path, {}, schema.FORMAT + 1)
    connection.close()


@pytest.mark.parametrize("damage", ["cut", "garbage", "header"])
async def test_a_damaged_file_says_what_to_do(make_store: MakeStore, tmp_path: Path, damage: str) -> None:
    async with make_store() as store:
        for _ in range(200):
            await store.journal.settle(record())
    path = tmp_path / DATA / "upwhisk.db"
    whole = path.read_bytes()
    damaged = {
        "cut": whole[: len(whole) // 2],
        "garbage": whole[:100] + os.urandom(len(whole) - 100),
        "header": os.urandom(100) + whole[100:],
    }
    path.write_bytes(damaged[damage])
    with pytest.raises(DataFolderError, match=r"is damaged .* restore the newest backup"):
        await make_store().start()


async def test_another_programs_database_is_refused(make_store: MakeStore, tmp_path: Path) -> None:
    (tmp_path / DATA).mkdir()
    with sqlite3.connect(tmp_path / DATA / "upwhisk.db") as connection:
        connection.execute("CREATE TABLE theirs(x)")
    connection.close()
    with pytest.raises(DataFolderError, match="no data file of upwhisk"):
        await make_store().start()


async def test_a_file_in_the_way_is_a_clear_error(make_store: MakeStore, tmp_path: Path) -> None:
    (tmp_path / DATA).write_text("x")
    with pytest.raises(DataFolderError, match="cannot be used"):
        await make_store().start()


async def test_a_missing_or_foreign_key_file_is_a_clear_error(make_store: MakeStore, tmp_path: Path) -> None:
    async with make_store():
        pass
    key = tmp_path / DATA / "store.key"
    own = key.read_bytes()
    key.unlink()
    with pytest.raises(DataFolderError, match=r"missing or damaged .* from a backup"):
        await make_store().start()
    key.write_bytes(os.urandom(32))
    with pytest.raises(DataFolderError, match="does not belong to this data folder"):
        await make_store().start()
    key.write_bytes(own)
    async with make_store():
        pass


async def test_keys_cannot_be_read_in_the_files(make_store: MakeStore, tmp_path: Path) -> None:
    secret = "Secret0123456789" * 4
    async with make_store() as store:
        await store.subjects.put(Subject("anna.m", (NamespaceKey("anna.m", "u-1", secret),)))
    found = [path.name for path in (tmp_path / DATA).iterdir() if secret[:16].encode() in path.read_bytes()]
    assert found == []
