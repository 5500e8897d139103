"""Creating, updating, enabling, disabling and deleting rules.

The status of a rule is kept with its trigger, because a fire reads only that. A rule is written before its link, and the
link goes before the rule, so that no link ever leads to a rule that is not there; without the link it reports `inactive`.
Two who change a rule at once, maybe at two controllers: who links looks whether the rule is still there, who deletes looks
for a link that came meanwhile.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from upwhisk.common.clock import Clock
from upwhisk.common.errors import BadRequest, Conflict, NotFound
from upwhisk.common.model.identity import Identity
from upwhisk.common.model.limits import SystemLimits
from upwhisk.common.model.rule import Reference, Rule, RuleStatus, reference_to
from upwhisk.common.model.trigger import RuleLink, Trigger
from upwhisk.common.names import EntityName, parse_reference
from upwhisk.controller import namespace_limits
from upwhisk.controller.catalog import CONCURRENT, Catalog, ResolvedAction
from upwhisk.controller.entities import fields
from upwhisk.controller.entities.actions import EXISTS
from upwhisk.controller.entities.triggers import Links, TriggerWriter
from upwhisk.controller.entitlement import check_action, check_own
from upwhisk.controller.json_body import decode_as, decode_object, malformed_content

_ATTEMPTS: Final = 5
"""To link or delete a rule that others change."""


class RuleBody(fields.CommonBody):
    trigger: fields.Field = fields.UNSET
    action: fields.Field = fields.UNSET


class RuleWriter:
    def __init__(self, catalog: Catalog, triggers: TriggerWriter, limits: SystemLimits, clock: Clock) -> None:
        self._catalog = catalog
        self._triggers = triggers
        self._limits = limits
        self._clock = clock

    async def put(
        self, identity: Identity, name: EntityName, body: bytes, *, overwrite: bool
    ) -> tuple[Rule, RuleStatus]:
        """Created active; an update keeps the status, and moves the link when the trigger changes."""
        raw = decode_as(body, RuleBody, self._limits.json_depth)
        size = namespace_limits.parameter_bytes(identity.limits, self._limits)
        annotations = fields.parameters(raw.annotations, "annotations", size)
        stored = await self._catalog.find(Rule, name)
        if stored is not None and not overwrite:
            raise Conflict(EXISTS)
        trigger = _named(raw.trigger, identity, stored.trigger if stored else None)
        action = _named(raw.action, identity, stored.action if stored else None)
        await self._check_exists(identity, trigger, action)
        status: RuleStatus = "active" if stored is None else await self.status(stored)
        rule = Rule(
            name=name,
            trigger=trigger,
            action=action,
            version=fields.version(raw.version, stored.version if stored else None),
            publish=fields.publish(raw.publish, stored.publish if stored else False),
            annotations=(stored.annotations if stored else ()) if annotations is None else annotations,
            updated=self._clock.now_ms(),
            revision=stored.revision if stored else None,
        )
        rule = await self._catalog.put(rule)
        return rule, await self._put_in_place(rule, status, stored)

    async def _put_in_place(self, rule: Rule, status: RuleStatus, before: Rule | None) -> RuleStatus:
        """The status of a written rule whose trigger now knows it."""
        moves = before is not None and before.trigger != rule.trigger
        if before is not None and moves:
            await self._unlink(before)
        try:
            return await self._link(rule, status, keeps=before is not None and not moves) or status
        except Conflict:
            if before is None:  # else whoever tries again finds it, without its status
                await self._catalog.delete(rule)
            raise

    async def delete(self, name: EntityName) -> Rule:
        for _ in range(_ATTEMPTS):
            rule = await self._fresh(name)
            await self._unlink(rule)
            try:
                await self._catalog.delete(rule)
            except Conflict:  # it was changed meanwhile, and linked again
                continue
            await self._unlink(rule)
            return rule
        raise Conflict(CONCURRENT)

    async def set_status(self, name: EntityName, status: RuleStatus) -> None:
        if not await self._link(await self._fresh(name), status):
            raise NotFound("Only rules with existing triggers can be activated")

    async def status(self, rule: Rule) -> RuleStatus:
        """`inactive` when the trigger is gone, or knows nothing of the rule."""
        try:
            trigger = await self._catalog.find(Trigger, rule.trigger.entity)
        except Conflict:
            return "inactive"
        link = trigger.rules.get(rule.name.document_id) if trigger is not None else None
        return "inactive" if link is None else link.status

    async def _link(self, rule: Rule, status: RuleStatus, *, keeps: bool = False) -> RuleStatus | None:
        """The status it has now; None if there is no such trigger. `keeps`: a link that is there keeps its own. `NotFound` if
        the rule was deleted meanwhile."""
        name = rule.name.document_id

        def add(links: Links) -> Links:
            there = links.get(name) if keeps else None
            links[name] = RuleLink(rule.action, status if there is None else there.status)
            return links

        for _ in range(_ATTEMPTS):
            trigger = await self._triggers.change_links(rule.trigger.entity, add)
            now = await self._catalog.fresh(Rule, rule.name)
            if now is not None and (now.trigger, now.action) == (rule.trigger, rule.action):
                return None if trigger is None else trigger.rules[name].status
            if now is None or now.trigger != rule.trigger:
                await self._unlink(rule)
            if now is None:
                raise NotFound()
            rule = now
        raise Conflict(CONCURRENT)

    async def _fresh(self, name: EntityName) -> Rule:
        """As the store has it: what is linked by an old copy would be linked to its old trigger."""
        rule = await self._catalog.fresh(Rule, name)
        if rule is None:
            raise NotFound()
        return rule

    async def _unlink(self, rule: Rule) -> None:
        def remove(links: Links) -> Links:
            links.pop(rule.name.document_id, None)
            return links

        try:
            await self._triggers.change_links(rule.trigger.entity, remove)
        except Conflict:
            # The name has been given to another kind of entity, which has no links.
            if await self._is_trigger(rule.trigger.entity):
                raise

    async def _is_trigger(self, name: EntityName) -> bool:
        try:
            return await self._catalog.find(Trigger, name) is not None
        except Conflict:
            return False

    async def _check_exists(self, identity: Identity, trigger: Reference, action: Reference) -> None:
        check_own(identity, trigger.entity)
        if trigger.entity.package is not None or not await self._is_trigger(trigger.entity):
            raise BadRequest(f"trigger {trigger} does not exist")
        resolved = await self._find_action(action.entity)
        check_action(identity, action.entity, resolved)
        if resolved is None:
            raise BadRequest(f"action {action} does not exist")

    async def _find_action(self, name: EntityName) -> ResolvedAction | None:
        try:
            return await self._catalog.resolve(name)
        except Conflict:
            return None


def _named(field: fields.Field, identity: Identity, stored: Reference | None) -> Reference:
    value = fields.value_of(field, "trigger and action")
    if value is fields.UNSET:
        if stored is None:
            raise BadRequest("rule requires a valid trigger and a valid action")
        return stored
    return reference_to(parse_reference(_as_text(value), identity.namespace))


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        path, name = value.get("path"), value.get("name")
        if isinstance(path, str) and isinstance(name, str):
            return f"/{path.removeprefix('/')}/{name}"
    raise malformed_content(
        "a trigger or action is named by '/namespace/name' or by an object with 'path' and 'name'"
    )


def parse_status(body: bytes, depth: int) -> RuleStatus:
    """What a POST wants of a rule; other fields than `status` are tolerated."""
    status = decode_object(body, depth).get("status")
    if status == "active":
        return "active"
    if status == "inactive":
        return "inactive"
    shown = msgspec.json.encode(status).decode()
    raise malformed_content(f"'status' must be 'active' or 'inactive', not {shown[:100]}")
