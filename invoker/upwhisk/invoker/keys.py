"""The callers' keys that actions annotated `provide-api-key` are given."""

from __future__ import annotations

from collections import OrderedDict

from upwhisk.common.clock import Clock
from upwhisk.common.messages import ActivationMessage
from upwhisk.common.spi.store import SubjectStore

_KEPT_S = 60.0
_KEPT = 1024


class KeyRing:
    """Looks keys up by namespace when they are needed, so that no message and no journal holds one."""

    def __init__(self, subjects: SubjectStore, clock: Clock) -> None:
        self._subjects = subjects
        self._clock = clock
        self._kept: OrderedDict[str, tuple[float, str | None]] = OrderedDict()

    async def key_of(self, message: ActivationMessage) -> str | None:
        """`uuid:key` of the invoking namespace, None if its subject is gone or blocked."""
        now = self._clock.monotonic()
        kept = self._kept.get(message.namespace_uuid)
        if kept is not None and kept[0] > now:
            return kept[1]
        text = await self._look_up(message.namespace_uuid)
        self._kept[message.namespace_uuid] = (now + _KEPT_S, text)
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return text

    async def _look_up(self, uuid: str) -> str | None:
        subject = await self._subjects.by_uuid(uuid)
        if subject is None or subject.blocked:
            return None
        return next((f"{n.uuid}:{n.key}" for n in subject.namespaces if n.uuid == uuid), None)
