"""Raw paths to routes."""

from __future__ import annotations

import pytest

from upwhisk.common.errors import BadRequest
from upwhisk.controller.api.reply import Reply
from upwhisk.controller.api.request import Request, check_accept
from upwhisk.controller.api.routing import NOTHING, Route, Router


async def _nothing(_request: Request) -> Reply:
    return Reply(200)


ROUTER = Router(
    tuple(
        Route("GET", pattern, _nothing)
        for pattern in (
            "/",
            "/ping",
            "/n/{ns}/a",
            "/n/{ns}/a/",
            "/n/{ns}/a/{name}",
            "/n/{ns}/a/{pkg}/",
            "/n/{ns}/a/{pkg}/{name}",
            "/n/{ns}/x/{id}/logs",
            "/web/{rest}",
        )
    )
)


@pytest.mark.parametrize(
    ("path", "pattern", "parameters"),
    [
        ("/", "/", ()),
        ("/ping", "/ping", ()),
        ("/n/_/a", "/n/{ns}/a", ("_",)),
        ("/n/_/a/", "/n/{ns}/a/", ("_",)),
        ("/n/my%20ns/a/b%20c", "/n/{ns}/a/{name}", ("my ns", "b c")),
        ("/n/_/a/p/", "/n/{ns}/a/{pkg}/", ("_", "p")),
        ("/n/_/a/p/b@c", "/n/{ns}/a/{pkg}/{name}", ("_", "p", "b@c")),
        ("/n/_/x/any-thing!/logs", "/n/{ns}/x/{id}/logs", ("_", "any-thing!")),
        ("/web/a/b//c%2F", "/web/{rest}", ()),
    ],
)
def test_matches(path: str, pattern: str, parameters: tuple[str, ...]) -> None:
    for _ in range(2):  # walked, then remembered
        match = ROUTER.match(path)
        assert match.methods["GET"].pattern == pattern
        assert match.parameters == parameters


@pytest.mark.parametrize(
    "path", ["/nowhere", "//", "/ping/", "/n/_/a/p/b/", "/n//a", "/n/_/a//b", "/n", "/n/_", ""]
)
def test_nothing(path: str) -> None:
    assert ROUTER.match(path) is NOTHING


def test_bad_names() -> None:
    for path in ("/n/_/a/b%2Fc", "/n/a%2Fb/a", "/n/_/a/p/%C3%28"):
        with pytest.raises(BadRequest):
            ROUTER.match(path)


def test_memory_of_paths_is_bounded() -> None:
    for number in range(10_000):
        ROUTER.match(f"/n/_/a/name{number}")
    assert len(ROUTER._cache) <= 4096


def test_a_route_twice_is_a_mistake() -> None:
    with pytest.raises(AssertionError, match="twice"):
        Router((Route("GET", "/a", _nothing), Route("GET", "/a", _nothing)))


def test_accept_values() -> None:
    check_accept(None)
    check_accept("text/html;q=x, */* ; q=0.5")
