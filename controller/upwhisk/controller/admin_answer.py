"""What an administrator's command answers. Texts and exit codes are `wskadmin`'s, which operators' scripts compare."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from upwhisk.common.names import MAX_SEGMENT

NOT_FOUND: Final = "not found"


class Answer(msgspec.Struct, frozen=True):
    """What a command prints, without the last line's end, and its exit code. `data`: the same for programs, if it is more
    than a remark. `hint`: what the operator should know beside it; no part of the output, which scripts compare."""

    text: str
    code: int = 0
    data: Any = None
    hint: str = ""


def no_namespace(name: str) -> Answer:
    """Some of these could be taken for another namespace's package, the others could not be addressed."""
    return Answer(
        f"'{name[:40]}' cannot name a namespace: 1 to {MAX_SEGMENT} characters from letters, digits and '_@ .&-', "
        "the first a letter, digit or '_', the last not blank, and not '_' alone",
        2,
    )
