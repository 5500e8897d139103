"""A small Swagger 2.0 document, made from the table of routes: it says what exists. ◆ pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from upwhisk.controller.api.routing import Access, Route

_PREFIX: Final = "/api/v1"
_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_ENTITY: Final = ("namespace", "name", "version", "publish")


def _model(required: Iterable[str], optional: Iterable[str] = ()) -> dict[str, Any]:
    names = [*required, *optional]
    return {"type": "object", "required": list(required), "properties": {name: _type(name) for name in names}}


def _type(name: str) -> dict[str, Any]:
    if name in ("publish", "success", "binary"):
        return {"type": "boolean"}
    if name in ("annotations", "parameters", "logs", "actions", "feeds", "components"):
        return {"type": "array", "items": {}}
    if name in ("updated", "start", "end", "duration", "statusCode", "size", "timeout", "memory"):
        return {"type": "integer"}
    if name in ("exec", "limits", "trigger", "action", "rules", "response", "result", "binding"):
        return {"type": "object"}
    return {"type": "string"}


_MODELS: Final = {
    "Action": _model((*_ENTITY, "exec", "limits"), ("annotations", "parameters", "updated")),
    "ActionMeta": _model((*_ENTITY, "exec", "limits"), ("annotations", "updated")),
    "ActionExec": _model((), ("kind", "code", "image", "main", "binary", "components")),
    "ActionExecMeta": _model((), ("binary",)),
    "Rule": _model((*_ENTITY, "trigger", "action"), ("annotations", "status", "updated")),
    "RuleMeta": _model((*_ENTITY, "trigger", "action"), ("annotations", "updated")),
    "Trigger": _model(_ENTITY, ("annotations", "parameters", "limits", "rules", "updated")),
    "TriggerMeta": _model(_ENTITY, ("annotations", "updated")),
    "Package": _model(_ENTITY, ("annotations", "parameters", "binding", "actions", "feeds", "updated")),
    "Activation": _model(
        (*_ENTITY, "activationId", "start", "subject", "response", "logs"),
        ("annotations", "end", "duration", "cause", "statusCode"),
    ),
    "ActivationBrief": _model(
        (*_ENTITY, "activationId", "start"), ("annotations", "end", "duration", "cause", "statusCode")
    ),
    "ErrorMessage": _model(("error",), ("code",)),
}


def swagger(routes: Iterable[Route]) -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        if route.pattern.startswith(f"{_PREFIX}/") and "{rest}" not in route.pattern:
            paths.setdefault(route.pattern.removeprefix(_PREFIX), {})[route.method.lower()] = _operation(
                route
            )
    return {
        "swagger": "2.0",
        "info": {"title": "OpenWhisk REST API", "version": "1.0.0"},
        "basePath": _PREFIX,
        "produces": ["application/json"],
        "securityDefinitions": {"basicAuth": {"type": "basic"}},
        "paths": paths,
        "definitions": _MODELS,
    }


def _operation(route: Route) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "type": "string"}
        for name in _PARAMETER.findall(route.pattern)
    ]
    answers = {
        "200": {"description": "Done"},
        "default": {"description": "Refused or failed", "schema": {"$ref": "#/definitions/ErrorMessage"}},
    }
    operation: dict[str, Any] = {"parameters": parameters, "responses": answers}
    if route.access is Access.LOGIN:
        operation["security"] = [{"basicAuth": []}]
    return operation
