"""The operations behind `upwhisk admin user ...` and `limits ...`, by command.

The same functions serve the socket of a running platform and the files of a stopped one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import msgspec

from upwhisk.common.spi.store import SubjectStore
from upwhisk.controller import admin_limits as limits
from upwhisk.controller import admin_users as users
from upwhisk.controller.admin_answer import Answer

_OPERATIONS: Final[dict[str, tuple[Callable[[SubjectStore, Any], Awaitable[Answer]], type[Any]]]] = {
    "user create": (users.create_user, users.UserCreate),
    "user get": (users.get_user, users.UserGet),
    "user whois": (users.whois, users.UserWhois),
    "user list": (users.list_users, users.UserList),
    "user delete": (users.delete_user, users.UserDelete),
    "user block": (users.block, users.Subjects),
    "user unblock": (users.unblock, users.Subjects),
    "limits set": (limits.set_limits, limits.LimitsSet),
    "limits get": (limits.get_limits, limits.LimitsOf),
    "limits delete": (limits.delete_limits, limits.LimitsOf),
}


async def _run(store: SubjectStore, command: str, arguments: dict[str, Any]) -> Answer:
    operation, shape = _OPERATIONS[command]
    try:
        wanted = msgspec.convert(arguments, shape)
    except msgspec.ValidationError as error:
        return Answer(f"{command}: {error}", 2)
    return await operation(store, wanted)


def operations(store: SubjectStore) -> dict[str, Callable[[dict[str, Any]], Awaitable[Answer]]]:
    """Command -> operation on `store`; arguments as the structures beside the operations have them."""
    return {command: partial(_run, store, command) for command in _OPERATIONS}
