"""What earlier releases wrote is read, what later ones add is passed over, and today's form does not change unnoticed."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from golden.samples import ACTION, FIRST, MESSAGES, PENDING, RECORD, REPORT, SECOND, TRIGGER, WORK, written

from upwhisk.backends.nodes.consul.picture import reports_of
from upwhisk.backends.store.couchdb_documents import entity_of
from upwhisk.backends.store.couchdb_records import record_of
from upwhisk.backends.store.sqlite import SQLiteStore
from upwhisk.common.forms import READ, Unreadable, received
from upwhisk.common.messages import FORM, Message
from upwhisk.common.model.activation import encode_record
from upwhisk.common.spi.nodes import NodeState

HERE = Path(__file__).parent
SETS = sorted((path for path in HERE.iterdir() if path.name[0].isdigit()), key=lambda path: tuple(map(int, path.name.split("."))))
NEWEST = SETS[-1]
FILES = [pytest.param(file, id=f"{file.parent.name}/{file.name}") for folder in SETS for file in sorted(folder.glob("*.msgpack"))]

_TRUSTED: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
"""Early releases of Python 3.11 have no such filter, later ones warn without."""


def plain(data: bytes) -> dict[str, Any]:
    values: dict[str, Any] = msgspec.msgpack.decode(data)
    return values


def test_there_is_a_set_of_todays_form_and_of_those_that_are_read() -> None:
    assert {FORM, *(form for form in READ if form < FORM)} <= {int(path.name.partition(".")[0]) for path in SETS}


@pytest.mark.parametrize("name", sorted(written()))
def test_todays_form_is_the_newest_set(name: str) -> None:
    """A changed form: follow the list in docs/fleet.md, "Forms"; it ends with `python tests/golden/make.py`."""
    assert written()[name] == (NEWEST / name).read_bytes()


@pytest.mark.parametrize("file", FILES)
def test_messages_of_all_sets_are_read(file: Path) -> None:
    message = received(file.read_bytes())
    assert not isinstance(message, Unreadable)
    if file.parent == NEWEST:
        assert message == MESSAGES[file.stem]
    assert getattr(message, "activation_id", FIRST) == FIRST


@pytest.mark.parametrize("file", FILES)
def test_fields_that_a_later_release_adds_are_passed_over(file: Path) -> None:
    data = file.read_bytes()
    values = plain(data)
    for each in (values, *values.get("entries", ()), values.get("record", {}), values.get("action", {})):
        each["added_later"] = {"by": ["a", "newer", "release"]}
    assert received(msgspec.msgpack.encode(values)) == received(data)


@pytest.mark.parametrize("folder", SETS, ids=lambda path: path.name)
def test_documents_of_all_sets_are_read(folder: Path) -> None:
    added = b'{"added_later":{"a":1},'
    for text in ((folder / name).read_bytes() for name in ("report.json",)):
        for each in (text, added + text[1:]):
            assert reports_of([{"Value": each}]) == {"n1": REPORT}
    action = entity_of(msgspec.json.decode((folder / "couchdb-action.json").read_bytes()))
    assert action == ACTION
    for name, record in (("couchdb-record.json", RECORD), ("couchdb-trigger.json", TRIGGER)):
        text = (folder / name).read_bytes()
        assert record_of(text) == record_of(added + text[1:]) == encode_record(record)


@pytest.mark.parametrize("folder", SETS, ids=lambda path: path.name)
async def test_data_folders_of_all_sets_are_read(folder: Path, tmp_path: Path) -> None:
    with tarfile.open(folder / "data-folder.tar.gz") as archive:
        archive.extractall(tmp_path, **_TRUSTED)
    async with SQLiteStore(tmp_path / "data") as store:
        (entry,) = await store.journal.pending()
        added = {} if folder == NEWEST else {"queued_ms": 0}  # a field of 1.3
        assert entry.message == msgspec.structs.replace(WORK, activation_id=PENDING, **added)
        assert entry.attempt == 1
        assert await store.activations.get("guest", FIRST) == encode_record(RECORD)
        assert await store.activations.get("guest", SECOND) == encode_record(TRIGGER)
        action = await store.entities.get(ACTION.id)
        assert action is not None
        assert action.body == ACTION.body


@pytest.mark.parametrize(("name", "message"), MESSAGES.items())
def test_a_form_that_is_not_read_is_told_apart(name: str, message: Message) -> None:
    values = {**plain(written()[f"{name}.msgpack"]), "form": 99, "attempt": 2, "demand": "of another form", "record": 1, "entries": "?"}
    unread = received(msgspec.msgpack.encode(values))
    assert isinstance(unread, Unreadable)
    assert unread.type == name.partition("-")[0]
    for field in ("activation_id", "node", "controller", "owner", "number", "dispatch"):
        assert getattr(unread, field) == getattr(message, field, getattr(Unreadable(type=""), field))
    assert "form 99" in unread.reason
    assert f"reads {FORM}" in unread.reason


def test_what_does_not_fit_its_form_is_told_apart_too() -> None:
    values = plain(written()["bundle.msgpack"])
    values["entries"][0]["type"] = "a new kind of entry"
    unread = received(msgspec.msgpack.encode(values))
    assert isinstance(unread, Unreadable)
    assert unread.owner == "c1/0a1b"


def test_a_neighbouring_form_is_read_by_its_conversion() -> None:
    values = plain(written()["returned.msgpack"])
    values["why"] = values.pop("reason")
    other = msgspec.msgpack.encode({**values, "form": FORM + 1})
    converted = received(other, {FORM + 1: lambda each: {**each, "reason": each["why"]}})
    assert converted == MESSAGES["returned"]


@pytest.mark.parametrize("data", [b"", b"\xff\x00junk", msgspec.msgpack.encode({"type": "other"}), msgspec.msgpack.encode({"form": 1})])
def test_what_is_no_message_of_ours_is_an_error(data: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        received(data)


def test_a_node_whose_report_is_not_read_stays_with_a_reason() -> None:
    text = msgspec.json.encode({**msgspec.to_builtins(REPORT, str_keys=True), "state": "a new state", "version": "9.9"})
    (report,) = reports_of([{"Value": text}, {"Value": b"rubbish"}]).values()
    assert (report.node, report.incarnation, report.state) == ("n1", REPORT.incarnation, NodeState.UNHEALTHY)
    assert "version 9.9" in report.reason


async def test_a_data_folder_with_work_of_a_later_form_is_refused(tmp_path: Path) -> None:
    raise_form = msgspec.structs.replace(WORK, form=FORM + 1)
    async with SQLiteStore(tmp_path / "data") as store:
        await store.journal.accept([raise_form])
        with pytest.raises(Exception, match=f"{WORK.activation_id}.*form {FORM + 1}.*start the release that wrote it"):
            await store.journal.pending()
