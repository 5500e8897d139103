"""Whether a node still answers for what it was handed, and what its answers mean. Pure.

A process answers for everything it was handed as long as it lives, also when it was away so long that it had to join anew:
it says of each hand-over how it ended, or that it will not start it. So work is lost only with its process, or when the
registry has taken the node for dead meanwhile.
"""

from __future__ import annotations

from enum import Enum, auto

from upwhisk.common.forms import Unreadable
from upwhisk.common.ids import process_of
from upwhisk.common.messages import Completion, Returned


class Presence(Enum):
    """`ABSENT`: nobody knows the node. It may live, by its own lease, until that has passed."""

    HERE = auto()
    ABSENT = auto()
    GONE = auto()


def presence(incarnation: str, now: str | None, *, known: bool) -> Presence:
    """`incarnation`: the one that was handed work; `now`: the node's of now, None if it is not a member; `known`: the
    registry has it, be it as offline."""
    if now:
        return Presence.HERE if process_of(now) == process_of(incarnation) else Presence.GONE
    return Presence.GONE if known else Presence.ABSENT


class Meaning(Enum):
    """`UNKNOWN`: it has ended, and how is said in a form that is not read. `LATE`: of a hand-over that counts for nothing any
    more."""

    ENDED = auto()
    UNKNOWN = auto()
    NOT_STARTED = auto()
    LATE = auto()


def meaning_of(
    answer: Completion | Returned | Unreadable, dispatch: int, *, handed: bool, counted: bool | None
) -> Meaning:
    """`dispatch`: of the last hand-over, which stands if `handed`; `counted`: whether the log took it, None without a log."""
    is_last = answer.dispatch == dispatch
    if isinstance(answer, Completion):
        return Meaning.ENDED if (is_last if counted is None else counted) else Meaning.LATE
    if not (is_last and handed):
        return Meaning.LATE
    is_outcome = isinstance(answer, Unreadable) and answer.type == "completion"
    return Meaning.UNKNOWN if is_outcome else Meaning.NOT_STARTED
