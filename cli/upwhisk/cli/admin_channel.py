"""How `upwhisk admin` reaches the data: through the socket of a running platform, else on the files."""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from upwhisk.cli import texts
from upwhisk.cli.failure import GENERAL, NETWORK, Failure

if TYPE_CHECKING:
    from upwhisk.common.settings import Settings
    from upwhisk.common.spi.store import DocumentStore

SOCKET: Final = "admin.sock"
DATABASE: Final = "upwhisk.db"
DEFAULT_DATA: Final = ".local/share/upwhisk"
_CONNECT_S: Final = 5.0
_ANSWER_S: Final = 60.0
BACKUP_S: Final = 3600.0


class Result(NamedTuple):
    """What is printed, the exit code, the same as data if it is more than a remark, and what stderr says beside it."""

    text: str
    code: int = 0
    data: Any = None
    hint: str = ""


OnStore = Callable[["DocumentStore"], Awaitable[Result]]


class Where(NamedTuple):
    """Whose users and records: those in a data folder, or of the fleet that `config` describes."""

    data: Path
    config: Path | None = None
    fleet: bool = False


def default_data() -> Path:
    """The folder that holds the `.wskprops` in use, if it is a platform's; else the one `standalone` uses."""
    named = os.environ.get("WSK_CONFIG_FILE")
    if named:
        folder = Path(named).absolute().parent
        if any((folder / file).exists() for file in (SOCKET, DATABASE)):
            return folder
    return Path.home() / DEFAULT_DATA


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket that is connected already."""

    def __init__(self, connected: socket.socket, timeout_s: float) -> None:
        super().__init__("upwhisk", timeout=timeout_s)
        connected.settimeout(timeout_s)
        self.sock = connected


def connect(data: Path) -> socket.socket | None:
    """The admin socket of the platform that runs on this data folder; None if none does."""
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connected.settimeout(_CONNECT_S)
    try:
        connected.connect(str(data / SOCKET))
    except (FileNotFoundError, ConnectionRefusedError):
        connected.close()
        return None
    except OSError as error:
        connected.close()
        raise Failure(
            f"The platform on '{data}' cannot be asked: {error.strerror or error}",
            hint="only the user that runs the platform (and root) may",
        ) from None
    return connected


def ask(connected: socket.socket, command: str, arguments: dict[str, Any], timeout_s: float = _ANSWER_S) -> Result:
    """One command over the socket."""
    connection = _SocketConnection(connected, timeout_s)
    body = json.dumps({"command": command, "arguments": arguments}).encode()
    try:
        connection.request("POST", "/", body, {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
        return Result(str(answer["text"]), int(answer.get("code", 0)), answer.get("data"), str(answer.get("hint", "")))
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        raise Failure(f"The platform did not answer '{command}': {error or type(error).__name__}", NETWORK) from None
    finally:
        connection.close()


def on_store(where: Where, work: OnStore) -> Result:
    """Do `work` on the store itself: a fleet's, or that of a stopped platform. A folder is not made: who names one that is
    not there has most likely misspelt it, and would make users that no platform knows."""
    if not where.fleet and not where.data.is_dir():
        raise Failure(
            f"There is no data folder '{where.data}'",
            hint="name it with --data or UPWHISK_DATA; 'upwhisk standalone' makes one; a fleet: --fleet --config FILE",
        )
    import asyncio

    from upwhisk.common.errors import DataFolderError, HttpError, StartupError

    try:
        return asyncio.run(_with_store(_open_store(where), work))
    except DataFolderError as error:
        raise Failure(str(error), hint="if a platform runs on it, it does not answer: look at its log") from None
    except StartupError as error:
        raise Failure(str(error)) from None
    except HttpError as error:
        return Result(error.text, GENERAL)


def _open_store(where: Where) -> DocumentStore:
    from upwhisk.common.logging import configure
    from upwhisk.common.plugins import load
    from upwhisk.common.settings import LogSettings, RetentionSettings
    from upwhisk.common.settings_file import load_settings

    configure(LogSettings(level="warning"))
    settings = load_settings(where.config)
    if where.fleet:
        from upwhisk.cli.fleet_parts import documents_of

        return documents_of(settings)
    # Records are not ours to remove, whatever the settings of this call say about their age.
    keep = RetentionSettings(max_age_s=0, max_records=0, max_mb=0)
    store: DocumentStore = load("store", settings.plugins.store)(where.data.absolute(), settings.store, keep)
    return store


async def _with_store(store: DocumentStore, work: OnStore) -> Result:
    async with store:
        return await work(store)


def _running(where: Where) -> socket.socket | None:
    return None if where.fleet else connect(where.data)


def operate(where: Where, command: str, arguments: dict[str, Any]) -> Result:
    """One of the operations of `upwhisk.controller.admin`, wherever the data can be reached."""
    connected = _running(where)
    if connected is not None:
        return ask(connected, command, arguments)

    async def work(store: DocumentStore) -> Result:
        from upwhisk.controller.admin import operations

        answer = await operations(store.subjects)[command](arguments)
        return Result(answer.text, answer.code, answer.data, answer.hint)

    return on_store(where, work)


def backup(where: Where, target: Path) -> Result:
    connected = _running(where)
    if connected is not None:
        return ask(connected, "backup", {"target": str(target)}, BACKUP_S)

    async def work(store: DocumentStore) -> Result:
        from upwhisk.cli.admin_backup import write_backup

        answer = await write_backup(store, target)
        return Result(answer.text, answer.code)

    return on_store(where, work)


def restore(where: Where, source: Path, *, force: bool) -> Result:
    """Make the data folder what the backup holds; the platform must be stopped. Or fill a fleet's empty databases."""
    connected = _running(where)
    if connected is not None:
        connected.close()
        raise Failure(f"A platform runs on '{where.data}'", hint="stop it first (SIGTERM), then restore")
    from upwhisk.common.errors import FolderNotEmpty, StartupError
    from upwhisk.common.settings_file import load_settings

    try:
        settings = load_settings(where.config)
        if where.fleet:
            return _restore_fleet(settings, source)
        _restore_folder(settings, where.data, source, force=force)
    except FolderNotEmpty as error:
        raise Failure(str(error), hint="--force replaces what is in the folder") from None
    except StartupError as error:
        raise Failure(str(error)) from None
    return Result(f"Restored {source} into {where.data}")


def _restore_folder(settings: Settings, data: Path, source: Path, *, force: bool) -> None:
    from upwhisk.common.plugins import load

    name = settings.plugins.store
    restorer = getattr(load("store", name), "restore", None)
    if restorer is None:
        raise Failure(f"The store '{name}' keeps no files that could be restored")
    restorer(source.absolute(), data.absolute(), force=force)


def _restore_fleet(settings: Settings, source: Path) -> Result:
    import asyncio

    from upwhisk.cli.fleet_parts import plugin_name
    from upwhisk.common.errors import HttpError
    from upwhisk.common.plugins import load

    name = plugin_name(settings, "store")
    restorer = getattr(load("store", name), "restore_documents", None)
    if restorer is None:
        raise Failure(f"The store '{name}' keeps nothing that could be restored")
    try:
        count = asyncio.run(restorer(source.absolute(), settings.couchdb))
    except HttpError as error:
        return Result(error.text, GENERAL)
    return Result(f"Restored {count} documents of {source} into the fleet")


def become_root_hint() -> str:
    return "" if os.geteuid() == 0 else f"run it as root: sudo {texts.PROGRAM} admin host-setup --user USER"
