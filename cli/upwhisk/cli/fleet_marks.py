"""What a fleet's documents keep of records that were deleted."""

from __future__ import annotations

from collections.abc import Callable

from upwhisk.cli.fleet_parts import documents_of
from upwhisk.common.errors import StartupError, StoreUnavailable
from upwhisk.common.settings import Settings


async def purge_marks(settings: Settings, tell: Callable[[int], None]) -> int:
    """How many marks were removed; 0 where the store keeps none. `tell` hears the number so far. `StartupError`."""
    purge = getattr(type(documents_of(settings)), "purge_marks", None)
    try:
        return 0 if purge is None else int(await purge(settings.couchdb, tell))
    except StoreUnavailable as error:
        raise StartupError(error.text) from None
