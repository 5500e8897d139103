"""Design documents, and the queries on their views. Pure.

A design document is named with its version: a release that changes one makes another beside it, so that controllers of the
release before go on with theirs. Maps are ES5: CouchDB runs them in SpiderMonkey or QuickJS.

Keys are texts of letters, digits and `_ @ . & - /`: of other texts some that differ are equal to CouchDB (it collates by
Unicode), so whoever asks with a text from outside checks it first.
"""

from __future__ import annotations

from typing import Any

import msgspec

from upwhisk.common.spi.store import ActivationQuery, EntityQuery

VERSION = 1
Databases = dict[str, dict[str, Any]]
"""Database -> what its design document holds."""

_ENTITY = """function (doc) {
  if (typeof doc.entityType !== "string" || typeof doc.namespace !== "string") { return; }
  emit([%s, doc.entityType, doc.updated, doc._id], null);
}"""
_PUBLIC = """function (doc) {
  if (doc.entityType === "package" && doc.publish === true && (!doc.binding || !Object.keys(doc.binding).length)) {
    emit([doc.namespace, doc.updated, doc._id], null);
  }
}"""
_CHECK_ENTITY = """function (doc, old, user, security) {
  if (doc._deleted) { return; }
  if (["action", "package", "trigger", "rule"].indexOf(doc.entityType) < 0) {
    throw({forbidden: "no entity: entityType is missing"});
  }
  if (typeof doc.namespace !== "string" || typeof doc.name !== "string" || typeof doc.updated !== "number") {
    throw({forbidden: "no entity: namespace, name or updated is missing"});
  }
}"""
_BY_START = """function (doc) {
  if (doc.activationId !== undefined) { emit([doc.namespace, doc.start, doc._id], null); }
}"""
_BY_NAME = """function (doc) {
  if (doc.activationId === undefined) { return; }
  var notes = doc.annotations || [], path, parts, i;
  for (i = 0; i < notes.length; i++) {
    if (notes[i].key === "binding" && typeof notes[i].value === "string") {
      parts = notes[i].value.split("/");
      parts.shift();
      emit([doc.namespace, parts.join("/") + "/" + doc.name, doc.start, doc._id], null);
      return;
    }
    if (notes[i].key === "path") { path = notes[i].value; }
  }
  parts = typeof path === "string" ? path.split("/") : [];
  emit([doc.namespace, parts.length === 3 ? parts[1] + "/" + doc.name : doc.name, doc.start, doc._id], null);
}"""
_OLDEST = """function (doc) {
  if (doc.activationId !== undefined) { emit(doc.start, (doc.upwhisk && doc.upwhisk.size) || 0); }
}"""
_KEYS = """function (doc) {
  if (doc.subject !== undefined && doc.namespaces) {
    doc.namespaces.forEach(function (each) { emit(each.%s, null); });
  }
}"""


def _counted(map: str) -> dict[str, str]:
    return {"map": map, "reduce": "_count"}


DESIGNS: Databases = {
    "whisks": {
        "views": {
            "entities": _counted(_ENTITY % 'doc.namespace.split("/")[0]'),
            "packaged": _counted(_ENTITY % "doc.namespace"),
            "public": _counted(_PUBLIC),
        },
        # Without one, CouchDB takes a write whose revision it never gave out.
        "validate_doc_update": _CHECK_ENTITY,
    },
    "activations": {
        "views": {
            "records": _counted(_BY_START),
            "named": _counted(_BY_NAME),
            "oldest": {"map": _OLDEST, "reduce": "_stats"},
        }
    },
    "subjects": {"views": {"uuids": {"map": _KEYS % "uuid"}, "namespaces": {"map": _KEYS % "name"}}},
}


def design_id(database: str, version: int = VERSION) -> str:
    """`_design/upwhisk-<database>.v<version>`."""
    return f"_design/upwhisk-{database}.v{version}"


class Range(msgspec.Struct, frozen=True):
    """Rows of `view` with keys that begin with `prefix` and go on with a number from `high` down to `low`, both inclusive.
    The document's id ends each key, so that a page goes on where the last one ended."""

    view: str
    prefix: list[Any]
    low: int
    high: int


_SMALLEST, _LARGEST = -(2**53), 2**53
"""Beyond these, numbers in keys lose digits; no time stamp is beyond."""


def entity_range(query: EntityQuery, entity_type: str) -> Range:
    if query.public_only:
        prefix: list[Any] = [query.namespace]
        view = "public"
    else:
        view = "entities" if query.path is None else "packaged"
        prefix = [query.namespace if query.path is None else query.path, entity_type]
    return Range(view, prefix, _SMALLEST, _LARGEST)


def record_range(query: ActivationQuery) -> Range:
    low = _SMALLEST if query.since is None else bounded(query.since)
    high = _LARGEST if query.upto is None else bounded(query.upto)
    prefix = [query.namespace] if query.name is None else [query.namespace, query.name]
    return Range("records" if query.name is None else "named", prefix, low, high)


def is_empty(range: Range) -> bool:
    """A range that CouchDB would refuse as reversed."""
    return range.low > range.high


def bounded(number: int) -> int:
    return max(_SMALLEST, min(_LARGEST, number))


Parameters = dict[str, str]


def count_parameters(range: Range) -> Parameters:
    return {"startkey": _lowest(range), "endkey": _highest(range), "reduce": "true"}


def page_parameters(range: Range, *, limit: int, skip: int = 0, after: bytes | None = None) -> Parameters:
    """Newest first. `after`: key (its JSON) of the last row of the page before; `skip` is then for the rows behind it."""
    return {
        "startkey": _highest(range) if after is None else after.decode(),
        "endkey": _lowest(range),
        "descending": "true",
        "reduce": "false",
        "include_docs": "true",
        "limit": str(limit),
        "skip": str(min(skip, _LARGEST) + (after is not None)),
    }


def _lowest(range: Range) -> str:
    """A key that is shorter comes before all that begin with it."""
    return _json([*range.prefix, range.low])


def _highest(range: Range) -> str:
    """An object comes after every text."""
    return _json([*range.prefix, range.high, {}])


def _json(key: list[Any]) -> str:
    return msgspec.json.encode(key).decode()
