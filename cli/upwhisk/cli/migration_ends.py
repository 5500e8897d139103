"""The two ends of a migration: where they are, whether they can be used, and what to do if not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final, Literal, NamedTuple

from upwhisk.cli import admin_channel
from upwhisk.cli.failure import Failure
from upwhisk.cli.fleet_parts import documents_of
from upwhisk.common.errors import DataFolderError, StartupError, Unavailable
from upwhisk.common.plugins import load
from upwhisk.common.settings import RetentionSettings, Settings
from upwhisk.common.spi.store import ArtifactStore, DocumentStore

Side = Literal["embedded", "couchdb"]
AGAIN: Final = "nothing is lost: the same command goes on where this one ended"
_KEEP: Final = RetentionSettings(max_age_s=0, max_records=0, max_mb=0)


class Ends(NamedTuple):
    """`data`: the folder of the embedded one. `settings`: with the address and login of CouchDB."""

    source: Side
    target: Side
    data: Path
    settings: Settings


@asynccontextmanager
async def opened(ends: Ends, *, writes: bool) -> AsyncIterator[tuple[DocumentStore, DocumentStore]]:
    """Both stores. `Failure` says what to mend. Not `writes`: a data folder that is not there is not made."""
    _check_folder(ends)
    with _explained():
        embedded = _embedded(ends, writes=writes)
        documents = documents_of(ends.settings)
        async with embedded, documents:
            source, target = (embedded, documents) if ends.source == "embedded" else (documents, embedded)
            if ends.source == "embedded":
                await _check_settled(embedded, ends.data)
            reason = target.accepts_work() if writes else None
            if reason is not None:
                raise Failure(f"The target takes nothing: {reason}")
            yield source, target


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except DataFolderError as error:
        raise Failure(str(error), hint="a platform that runs on it must be stopped first (SIGTERM)") from None
    except StartupError as error:
        raise Failure(str(error), hint="--config names the settings of the fleet") from None
    except Unavailable as error:
        raise Failure(error.text, hint=AGAIN) from None


def _check_folder(ends: Ends) -> None:
    connected = admin_channel.connect(ends.data)
    if connected is not None:
        connected.close()
        raise Failure(f"A platform runs on '{ends.data}'", hint="stop it first (SIGTERM), then migrate")
    if ends.source == "embedded" and not (ends.data / admin_channel.DATABASE).is_file():
        raise Failure(f"There is no platform's data in '{ends.data}'", hint="name its data folder with --data or UPWHISK_DATA")


def _embedded(ends: Ends, *, writes: bool) -> ArtifactStore:
    """Records are not ours to remove, whatever the settings say about their age."""
    is_there = (ends.data / admin_channel.DATABASE).is_file()
    name = "sqlite" if writes or is_there else "memory"
    store: ArtifactStore = load("store", name)(ends.data.absolute(), ends.settings.store, _KEEP)
    return store


async def _check_settled(store: ArtifactStore, data: Path) -> None:
    """Accepted work belongs to the journal, which is not copied."""
    pending = (await store.statistics()).pending
    if pending:
        raise Failure(
            f"'{data}' holds {pending} accepted activations that have no record yet",
            hint=f"let them end: 'upwhisk standalone --data {data}', stop it when they have run, then migrate",
        )
