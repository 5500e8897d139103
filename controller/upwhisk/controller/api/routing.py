"""Raw path -> route, found by walking a tree of segments once and remembered.

Segments are percent-decoded; names are checked here, so that a bad name wins over missing credentials, as upstream
has it. ◆ pure.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final
from urllib.parse import unquote

from upwhisk.common.names import check_name, check_namespace
from upwhisk.controller.api.reply import Reply
from upwhisk.controller.api.request import Request

Handler = Callable[[Request], Awaitable[Reply]]
_MAX_CACHED: Final = 4096
_MAX_PATH: Final = 1024


class Access(Enum):
    """Who may come in: everybody; callers with credentials; operators (loopback, unless a setting opens it)."""

    OPEN = auto()
    LOGIN = auto()
    OPERATOR = auto()


@dataclass(frozen=True, slots=True)
class Route:
    """`pattern`: literal segments, `{ns}`, `{pkg}`, `{name}` (checked names), `{id}` (any text), `{rest}` (all that follows)."""

    method: str
    pattern: str
    handler: Handler
    access: Access = Access.LOGIN


@dataclass(slots=True)
class _Node:
    literal: dict[str, _Node] = field(default_factory=dict)
    parameter: _Node | None = None
    kind: str = ""
    rest: _Node | None = None
    methods: dict[str, Route] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Match:
    """`methods` is empty where nothing is."""

    methods: dict[str, Route]
    parameters: tuple[str, ...]


NOTHING: Final = Match({}, ())


class Router:
    def __init__(self, routes: tuple[Route, ...]) -> None:
        self.routes = routes
        self._root = _Node()
        self._cache: dict[str, Match] = {}
        for route in routes:
            self._add(route)

    def match(self, path: str) -> Match:
        """`BadRequest` for a name that cannot be one."""
        found = self._cache.get(path)
        if found is not None:
            return found
        match = self._walk(path)
        if len(path) <= _MAX_PATH and match is not NOTHING:
            if len(self._cache) >= _MAX_CACHED:
                self._cache.clear()
            self._cache[path] = match
        return match

    def _add(self, route: Route) -> None:
        node = self._root
        for segment in route.pattern.split("/")[1:]:
            node = self._child(node, segment)
        assert route.method not in node.methods, f"{route.method} {route.pattern} stands in the table twice"
        node.methods[route.method] = route

    @staticmethod
    def _child(node: _Node, segment: str) -> _Node:
        if segment == "{rest}":
            node.rest = node.rest or _Node()
            return node.rest
        if not segment.startswith("{"):
            return node.literal.setdefault(segment, _Node())
        if node.parameter is None:
            node.parameter = _Node(kind=segment)
        return node.parameter

    def _walk(self, path: str) -> Match:
        node = self._root
        parameters: list[str] = []
        for segment in path.split("/")[1:]:
            following = node.literal.get(segment)
            if following is None:
                following = node.parameter if segment else None
                if following is None:
                    return NOTHING if node.rest is None else Match(node.rest.methods, tuple(parameters))
                parameters.append(_read(segment, following.kind))
            node = following
        return Match(node.methods, tuple(parameters)) if node.methods else NOTHING


def _read(segment: str, kind: str) -> str:
    text = unquote(segment) if "%" in segment else segment
    if kind == "{ns}":
        return "_" if text == "_" else check_namespace(text)
    return text if kind == "{id}" else check_name(text)
