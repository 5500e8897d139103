"""An action as an invoke needs it: parameters merged, annotations read once. ◆ pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from upwhisk.common.model.action import Action
from upwhisk.common.model.package import Package
from upwhisk.common.model.parameters import is_truthy, value_of
from upwhisk.common.names import EntityName, parse_reference


@dataclass(frozen=True, slots=True, eq=False)
class ResolvedAction:
    """One revision of an action together with its package. Shared between calls: nobody changes what it holds.

    * `parameters`: package parameters overlaid by the action's; none of a sequence, whose components have their own.
    * `init_keys`: keys that go to the environment of /init and never to a run.
    * `immutable`: keys a payload must not name, or None if the action is not final.
    * `shared`: its package is shared, so every identity may read and invoke it.
    * `network`: what the annotation says, or None.
    """

    name: EntityName
    action: Action
    revision: str
    parameters: dict[str, Any]
    init_keys: frozenset[str]
    immutable: frozenset[str] | None
    provide_api_key: bool
    retry_safe: bool
    network: str | None
    conductor: bool
    shared: bool
    components: tuple[EntityName, ...] = field(default=())

    @property
    def is_sequence(self) -> bool:
        return self.action.is_sequence


def resolve(action: Action, package: Package | None) -> ResolvedAction:
    """Merge: package parameters, then the action's; whole top-level values replace each other."""
    stored = (*(package.parameters if package is not None else ()), *action.parameters)
    merged = {p.key: p.value for p in stored}
    init = {p.key: p.init for p in stored}
    notes = action.annotations
    network = value_of(notes, "network")
    reaches_runs = {} if action.is_sequence else merged
    final = value_of(notes, "final") is True or value_of(notes, "web-export") is True
    return ResolvedAction(
        name=action.name,
        action=action,
        revision=action.revision or "",
        parameters=reaches_runs,
        init_keys=frozenset(key for key in reaches_runs if init[key]),
        immutable=frozenset(k for k, v in merged.items() if v is not None) if final else None,
        # Actions from before the annotation existed expect the key.
        provide_api_key=is_truthy(value_of(notes, "provide-api-key", True)),
        retry_safe=is_truthy(value_of(notes, "retry-safe", False)),
        network=network if isinstance(network, str) else None,
        conductor=is_truthy(value_of(notes, "conductor", False)),
        shared=package is not None and package.is_shared,
        components=tuple(parse_reference(c, action.name.namespace) for c in action.exec.components),
    )
