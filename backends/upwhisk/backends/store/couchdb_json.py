"""Which JSON texts a CouchDB takes, and which come back as they went in. Pure.

CouchDB parses and prints: `1e3` becomes `1000.0`, blanks go, the last of equal keys stays. What speaks its protocol in
JavaScript also loses digits beyond 2^53, turns `1.0` into `1` and reorders keys that look like numbers.
"""

from __future__ import annotations

import re

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
_LONG = re.compile(rb"\d{309}")
_CHANGED = re.compile(rb'[\[,:]-?(?:\d{16}|\d+\.0+[^\d]|\d+(?:\.\d+)?[eE])|[{,]"(?:\d+|__proto__)":')


def survives(text: bytes) -> bool:
    """Whether every implementation gives the values of this compact text back, each as it was. It may say no without
    need (a text inside a string looks the same), never yes without right."""
    return _CHANGED.search(text) is None


def is_taken(text: bytes) -> bool:
    """Whether CouchDB takes these numbers: it measures a document with the logarithm of each integer as a double, and answers 500
    where that overflows. Source: `couch_ejson_size.erl`."""
    return _LONG.search(text) is None or _LONG.search(_STRING.sub(b"", text)) is None


def document_key(id: str) -> str:
    """The `_id` of a document: CouchDB keeps those that begin with `_` for itself, and namespaces may begin so."""
    return f":{id}" if id[:1] in ("_", ":") else id


def id_of(key: str) -> str:
    """The inverse of `document_key`."""
    return key[1:] if key[:1] == ":" else key
