"""Small Swagger 2.0 documents, made from the table of routes: they say what exists. ◆ pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from upwhisk.controller.api.routing import Access, Route

API: Final = "/api/v1"
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


_KINDS: Final = {"actions": "Action", "rules": "Rule", "triggers": "Trigger", "packages": "Package"}
_QUERIES: Final = {
    ("post", "actions"): ("blocking", "result", "timeout"),
    ("put", "*"): ("overwrite",),
    ("get", "list"): ("limit", "skip", "count"),
    ("get", "activations"): ("limit", "skip", "count", "docs", "name", "since", "upto"),
    ("get", "actions"): ("code",),
}


def swagger(routes: Iterable[Route]) -> dict[str, Any]:
    """Of the API."""
    found = [route for route in routes if route.pattern.startswith(f"{API}/") and "{rest}" not in route.pattern]
    return _document("OpenWhisk REST API", API, found)


def platform_swagger(routes: Iterable[Route]) -> dict[str, Any]:
    """Of what lies beside the API: the platform's information, health and operators' pages."""
    found = [route for route in routes if not route.pattern.startswith(API) and "{rest}" not in route.pattern]
    return _document("OpenWhisk platform information", "", found)


def _document(title: str, base: str, routes: Iterable[Route]) -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.pattern.removeprefix(base), {})[route.method.lower()] = _operation(route)
    return {
        "swagger": "2.0",
        "info": {"title": title, "version": "1.0.0"},
        "basePath": base or "/",
        "produces": ["application/json"],
        "securityDefinitions": {"basicAuth": {"type": "basic"}},
        "paths": paths,
        "definitions": _MODELS,
    }


def _operation(route: Route) -> dict[str, Any]:
    method, kind, one = route.method.lower(), *_what(route.pattern)
    inside = [{"name": name, "in": "path", "required": True, "type": "string"} for name in _PARAMETER.findall(route.pattern)]
    asked = [{"name": name, "in": "query", "type": "string"} for name in _queries(method, kind, one=one)]
    body = [{"name": "body", "in": "body", "schema": {"type": "object"}}] if method in ("put", "post") else []
    answers = {
        "200": {"description": "Done", **_answer(method, kind, one=one)},
        "default": {"description": "Refused or failed", "schema": {"$ref": "#/definitions/ErrorMessage"}},
    }
    operation: dict[str, Any] = {"parameters": [*inside, *asked, *body], "responses": answers}
    if route.access is Access.LOGIN:
        operation["security"] = [{"basicAuth": []}]
    return operation


def _what(pattern: str) -> tuple[str, bool]:
    """(the kind of entity that a path is about, whether it names one); ("", False) for other paths."""
    parts = pattern.removeprefix(API).split("/")
    kind = next((part for part in parts if part in _KINDS or part == "activations"), "")
    return (kind, parts[-1] in ("{name}", "{id}")) if parts[-1] not in ("result", "logs") else ("", False)


def _queries(method: str, kind: str, *, one: bool) -> tuple[str, ...]:
    if not kind:
        return ()
    if method == "put":
        return _QUERIES["put", "*"]
    if method == "get" and not one:
        return _QUERIES["get", "activations" if kind == "activations" else "list"]
    return _QUERIES.get((method, kind), ())


def _answer(method: str, kind: str, *, one: bool) -> dict[str, Any]:
    """The schema of what comes back, where it is an entity or a list of them."""
    if kind == "activations":
        model = "Activation" if one else "ActivationBrief"
    elif kind and method != "post":
        model = _KINDS[kind] if one or kind == "packages" else f"{_KINDS[kind]}Meta"
    else:
        return {}
    item = {"$ref": f"#/definitions/{model}"}
    return {"schema": item if one else {"type": "array", "items": item}}
