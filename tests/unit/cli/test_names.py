from __future__ import annotations

import pytest

from upwhisk.cli.client import base_url, encoded, exit_code
from upwhisk.cli.failure import Failure
from upwhisk.cli.qualified import full_name, qualified, scope


@pytest.mark.parametrize(
    ("text", "namespace", "path"),
    [
        ("a", "_", "a"),
        ("p/a", "_", "p/a"),
        ("/ns/a", "ns", "a"),
        ("/ns/p/a", "ns", "p/a"),
        ("ns/p/a", "ns", "p/a"),
        ("a b@c.d", "_", "a b@c.d"),
    ],
)
def test_names(text: str, namespace: str, path: str) -> None:
    name = qualified(text, "_")
    assert (name.namespace, name.path) == (namespace, path)
    assert scope(text, "_") == name


def test_a_bare_namespace_is_for_lists() -> None:
    assert scope("/ns", "_") == ("ns", "")
    for read in (qualified, full_name):
        with pytest.raises(Failure, match="'/ns' is not a valid qualified name"):
            read("/ns", "_")


@pytest.mark.parametrize("text", ["", "/", "//a", "/ns/", "a/", "/ns/p/a/b", "a/b/c/d", ".", "/ns/../a", "p//a"])
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(Failure, match="is not a valid qualified name"):
        qualified(text, "_")
    with pytest.raises(Failure, match="is not a valid qualified name"):
        scope(text, "_")


@pytest.mark.parametrize(
    ("text", "full"),
    [("a", "/_/a"), ("p/a", "/_/p/a"), ("/ns/a", "/ns/a"), ("ns/p/a", "/ns/p/a")],
)
def test_names_in_bodies(text: str, full: str) -> None:
    assert full_name(text, "_") == full


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, 144), (401, 145), (403, 147), (404, 148), (409, 153), (413, 157), (429, 173), (502, 246), (200, 200)],
)
def test_exit_codes_of_answers(status: int, code: int) -> None:
    assert exit_code(status) == code


def test_queries_are_sorted_and_booleans_are_words() -> None:
    assert encoded({"skip": 0, "limit": 30, "docs": None}) == "?limit=30&skip=0"
    assert encoded({"result": False, "blocking": True}) == "?blocking=true&result=false"
    assert encoded({"name": "p/a b"}) == "?name=p%2Fa+b"
    assert encoded(None) == ""


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("h", "https://h"),
        ("h:8443", "https://h:8443"),
        ("http://h:1/", "http://h:1"),
        ("https://[::1]:9", "https://[::1]:9"),
    ],
)
def test_hosts(host: str, url: str) -> None:
    assert base_url(host) == url


@pytest.mark.parametrize("host", ["ftp://h", "http://", "http://h:x", "http://a b", "http://h:99999", "http://[::1", "a\nb"])
def test_what_is_no_host(host: str) -> None:
    with pytest.raises(Failure, match="The API host is not valid"):
        base_url(host)
