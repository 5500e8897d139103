"""What a migration copies, what is there already, what is a conflict; and the table of all that. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Literal

import msgspec

from upwhisk.common.model.identity import NamespaceLimits, Subject
from upwhisk.common.spi.store import Document

Kind = Literal["subjects", "limits", "actions", "packages", "triggers", "rules", "activations"]
KINDS: Final[tuple[Kind, ...]] = ("subjects", "limits", "actions", "packages", "triggers", "rules", "activations")
LISTED: Final = 50
"""Differences that are kept for the report; the others are counted."""
_encode = msgspec.json.Encoder(order="deterministic").encode


class Verdict(Enum):
    """`COPIED`: the target had none. `REPLACED`: the target's was another. `CONFLICT`: it is another and stays.
    `REFUSED`: the target cannot keep it."""

    COPIED = "copied"
    REPLACED = "replaced"
    SAME = "same"
    CONFLICT = "conflicts"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Outcome:
    """`why`: of a conflict or refusal; it holds no values, only names of what differs."""

    kind: Kind
    id: str
    verdict: Verdict
    why: str = ""


@dataclass(frozen=True, slots=True)
class Rules:
    """`since`: records that started then (ms) or later. Not `writes`: only compare."""

    activations: bool = True
    since: int | None = None
    overwrite: bool = False
    writes: bool = True


def decided(different: str | None, *, is_there: bool, overwrite: bool) -> Verdict:
    """`different`: what the two differ in, None if in nothing."""
    if not is_there:
        return Verdict.COPIED
    if different is None:
        return Verdict.SAME
    return Verdict.REPLACED if overwrite else Verdict.CONFLICT


def subject_difference(mine: Subject, theirs: Subject | None) -> str | None:
    """Names of what differs; None for none."""
    if theirs is None or mine == theirs:
        return None
    parts = []
    if {key.name for key in mine.namespaces} != {key.name for key in theirs.namespaces}:
        parts.append("namespaces")
    elif mine.namespaces != theirs.namespaces:
        parts.append("keys")
    if mine.blocked != theirs.blocked:
        parts.append("blocked")
    return ", ".join(parts)


def limits_difference(mine: NamespaceLimits, theirs: NamespaceLimits | None) -> str | None:
    if theirs is None or mine == theirs:
        return None
    return _fields_that_differ(msgspec.to_builtins(mine), msgspec.to_builtins(theirs))


def document_difference(mine: Document, theirs: Document | None) -> str | None:
    """Revisions are each store's own and are not compared."""
    if theirs is None:
        return None
    parts = [name for name in ("collection", "path", "name", "updated") if getattr(mine, name) != getattr(theirs, name)]
    if _encode(mine.body) != _encode(theirs.body):
        parts.append(_fields_that_differ(mine.body, theirs.body))
    if mine.attachment != theirs.attachment:
        parts.append("code")
    return ", ".join(parts) or None


def _fields_that_differ(mine: dict[str, Any], theirs: dict[str, Any]) -> str:
    names = sorted(mine.keys() | theirs.keys())
    return ", ".join(name for name in names if _text(mine, name) != _text(theirs, name))


def _text(fields: dict[str, Any], name: str) -> bytes | None:
    return _encode(fields[name]) if name in fields else None


@dataclass
class Tally:
    """What became of everything."""

    counts: dict[Kind, Counter[Verdict]] = field(default_factory=lambda: {kind: Counter() for kind in KINDS})
    listed: list[Outcome] = field(default_factory=list)

    def add(self, outcomes: Iterable[Outcome]) -> None:
        for outcome in outcomes:
            self.counts[outcome.kind][outcome.verdict] += 1
            if outcome.verdict in (Verdict.CONFLICT, Verdict.REFUSED) and len(self.listed) < LISTED:
                self.listed.append(outcome)

    def total(self, *verdicts: Verdict) -> int:
        return sum(count[verdict] for count in self.counts.values() for verdict in verdicts or Verdict)

    @property
    def is_complete(self) -> bool:
        """Nothing of the source was left out."""
        return self.total(Verdict.CONFLICT, Verdict.REFUSED) == 0

    @property
    def is_equal(self) -> bool:
        """Everything of the source is in the target, the same."""
        return self.total() == self.total(Verdict.SAME)

    def rows(self) -> list[dict[str, Any]]:
        return [
            {"kind": kind, "read": count.total(), **{verdict.value: count[verdict] for verdict in Verdict}}
            for kind, count in self.counts.items()
        ]
