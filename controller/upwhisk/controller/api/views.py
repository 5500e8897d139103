"""Entities as clients read them. ◆ pure.

Clients that validate answers reject unknown fields, so each shape holds exactly what upstream's model names.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from upwhisk.common.model.action import Action, Exec
from upwhisk.common.model.limits import ActionLimits
from upwhisk.common.model.package import Package
from upwhisk.common.model.parameters import Parameters, value_of
from upwhisk.common.model.rule import Rule, RuleStatus
from upwhisk.common.model.trigger import Trigger
from upwhisk.controller.catalog import Entity

View = dict[str, Any]


def parameters_view(parameters: Parameters) -> list[View]:
    """`init` only when true; `value` always, also when it is null."""
    return [
        {"key": p.key, "value": p.value, "init": True} if p.init else {"key": p.key, "value": p.value}
        for p in parameters
    ]


def _common(entity: Entity) -> View:
    return {
        "namespace": entity.name.path,
        "name": entity.name.name,
        "version": entity.version,
        "publish": entity.publish,
        "annotations": parameters_view(entity.annotations),
        "updated": entity.updated,
    }


def action_view(action: Action, *, code: bool = True) -> View:
    return {
        **_common(action),
        "exec": _exec_view(action.exec, code=code),
        "parameters": parameters_view(action.parameters),
        "limits": limits_view(action.limits),
    }


def _exec_view(exec_: Exec, *, code: bool) -> View:
    if exec_.components or exec_.kind == "sequence":
        return {"kind": exec_.kind, "components": list(exec_.components)}
    view: View = {"kind": exec_.kind, "binary": exec_.binary}
    if exec_.image is not None:
        view["image"] = exec_.image
    if code and exec_.code is not None:
        view["code"] = exec_.code
    if exec_.main is not None:
        view["main"] = exec_.main
    return view


def limits_view(limits: ActionLimits) -> View:
    view: View = msgspec.to_builtins(limits)
    return view


def action_row(action: Action) -> View:
    return {
        **_common(action),
        "exec": {"binary": action.exec.binary},
        "limits": limits_view(action.limits),
    }


def package_view(package: Package) -> View:
    """As PUT and DELETE answer it; GET adds `actions` and `feeds`."""
    return {**_common(package), "binding": {}, "parameters": parameters_view(package.parameters)}


def package_row(package: Package) -> View:
    binding = package.binding
    return {**_common(package), "binding": False if binding is None else msgspec.to_builtins(binding)}


def package_contents(actions: Iterable[Action]) -> View:
    """Actions whose `feed` annotation is set are feeds, and feeds only."""
    contents: View = {"actions": [], "feeds": []}
    for action in actions:
        kind = "feeds" if value_of(action.annotations, "feed", False) else "actions"
        summary = {
            "name": action.name.name,
            "version": action.version,
            "annotations": parameters_view(action.annotations),
        }
        contents[kind].append(summary)
    return contents


def trigger_view(trigger: Trigger) -> View:
    view = {**_common(trigger), "parameters": parameters_view(trigger.parameters), "limits": {}}
    if trigger.rules:
        view["rules"] = msgspec.to_builtins(trigger.rules)
    return view


def trigger_row(trigger: Trigger) -> View:
    return _common(trigger)


def rule_row(rule: Rule) -> View:
    """Lists leave the status out: clients fetch each rule to learn it."""
    return {
        **_common(rule),
        "trigger": msgspec.to_builtins(rule.trigger),
        "action": msgspec.to_builtins(rule.action),
    }


def rule_view(rule: Rule, status: RuleStatus) -> View:
    return {**rule_row(rule), "status": status}
