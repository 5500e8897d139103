"""What an owner says of work once more: that it is withdrawn, or all that is known of it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from upwhisk.common.ids import ActivationId
from upwhisk.common.messages import Accepted, ActivationMessage, Bundle, Discarded, Entry
from upwhisk.controller.delivery.bundles import BUNDLE_BYTES, size_of
from upwhisk.controller.delivery.ledger import Work, carried, may_be_carried

CARRY_BYTES = 4 * BUNDLE_BYTES


def is_withdrawn(message: ActivationMessage) -> bool:
    """Whether work may be dropped whose acceptance was not confirmed in time: not what a balancer has already, since a
    caller waited for it, nor the step of a composition, which is tried until it is kept."""
    return not message.blocking and message.cause is None


def withdrawals(bundle: Bundle, pending: Collection[ActivationId]) -> list[Entry]:
    """Of a bundle that came after its writers were told that it is not kept; `pending`: the work that is under way."""
    late = [m for entry in bundle.entries if isinstance(entry, Accepted) for m in entry.messages if is_withdrawn(m)]
    return [Discarded(activation_id=m.activation_id) for m in late if m.activation_id in pending]


def said_again(pending: Mapping[ActivationId, Work], old: Collection[ActivationId]) -> list[Entry]:
    """Of the old work as much as one bundle takes."""
    room = CARRY_BYTES
    entries: list[Entry] = []
    for id_, work in pending.items():
        if id_ in old and room > 0 and may_be_carried(work):
            entries.append(carried(work))
            room -= size_of(entries[-1:])
    return entries
