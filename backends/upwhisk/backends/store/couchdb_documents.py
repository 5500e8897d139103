"""Entities, subjects and limits as OpenWhisk keeps them in CouchDB, both ways. Pure.

An entity's body is spread over the document, beside `entityType`, `namespace` (with the package, as clients see it),
`name` and `updated`. What would not come back as it went in is kept as text too, in our one field `upwhisk`.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import Any

import msgspec

from upwhisk.backends.store.couchdb_json import document_key, id_of, is_taken, survives
from upwhisk.backends.store.sealing import Sealer
from upwhisk.common.errors import ConfigurationError
from upwhisk.common.model.identity import NamespaceKey, NamespaceLimits, Subject
from upwhisk.common.spi.store import Collection, Document

CODE = "code"
"""The attachment with an action's code."""
OURS = "upwhisk"
_SEALED = "sealed:"
_OWN = frozenset({"entityType", "namespace", "name", "updated", OURS})
_SEEN = frozenset({"publish", "binding"})
"""What views look at."""
_TYPES: dict[Collection, str] = {
    "actions": "action",
    "packages": "package",
    "triggers": "trigger",
    "rules": "rule",
}
_COLLECTIONS = {text: collection for collection, text in _TYPES.items()}
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def entity_type(collection: Collection) -> str:
    return _TYPES[collection]


def entity_fields(document: Document) -> dict[str, Any]:
    """All but `_rev` and attachments. `ValueError` for a document whose id is not that of its path and name: its
    namespace could not be told from what is stored."""
    if document.id != f"{document.path}/{document.name}" or document.path.partition("/")[0] != document.namespace:
        raise ValueError(f"id, namespace, path and name do not fit together: {document.id}")
    fields = {key: value for key, value in document.body.items() if not _is_ours(key)}
    text = _encode(document.body)
    if not is_taken(text):
        fields = {key: value for key, value in fields.items() if key in _SEEN}
    if len(fields) < len(document.body) or not survives(text):
        fields[OURS] = {"body": text.decode()}
    return {
        "_id": document_key(document.id),
        "entityType": _TYPES[document.collection],
        "namespace": document.path,
        "name": document.name,
        "updated": document.updated,
        **fields,
    }


def entity_of(fields: dict[str, Any]) -> Document | None:
    """The entity in a stored document; None if it is something else."""
    collection = _COLLECTIONS.get(fields.get("entityType", ""))
    path, name = fields.get("namespace"), fields.get("name")
    if collection is None or not isinstance(path, str) or not isinstance(name, str):
        return None
    exact = fields.get(OURS, {}).get("body")
    body = _decode(exact) if exact else {key: value for key, value in fields.items() if not _is_ours(key)}
    return Document(
        id=id_of(fields["_id"]),
        collection=collection,
        namespace=path.partition("/")[0],
        path=path,
        name=name,
        updated=fields.get("updated", 0),
        body=body,
        revision=fields["_rev"],
        has_attachment=CODE in fields.get("_attachments", {}),
    )


def subject_fields(subject: Subject, sealer: Sealer) -> dict[str, Any]:
    """All but `_rev`; keys are sealed with the fleet's key, each tied to its uuid."""
    namespaces = [
        {"name": key.name, "uuid": key.uuid, "key": _SEALED + b64encode(sealer.seal(key.key, key.uuid)).decode()}
        for key in subject.namespaces
    ]
    fields: dict[str, Any] = {
        "_id": document_key(subject.subject),
        "subject": subject.subject,
        "namespaces": namespaces,
    }
    return {**fields, "blocked": True} if subject.blocked else fields


def subject_of(fields: dict[str, Any], sealer: Sealer) -> Subject | None:
    """The subject in a stored document; None if it is something else. Keys that OpenWhisk left unsealed are read."""
    name = fields.get("subject")
    if name != id_of(fields["_id"]):
        return None
    keys = tuple(
        NamespaceKey(each["name"], each["uuid"], _opened(each["key"], each["uuid"], sealer))
        for each in fields.get("namespaces", ())
    )
    return Subject(name, keys, blocked=fields.get("blocked", False) is True)


def limits_fields(namespace: str, limits: NamespaceLimits) -> dict[str, Any]:
    return {"_id": document_key(f"{namespace}/limits"), **msgspec.to_builtins(limits)}


def limits_of(fields: dict[str, Any]) -> NamespaceLimits:
    """Fields that we do not know are left out."""
    known = NamespaceLimits.__struct_encode_fields__
    return msgspec.convert({key: value for key, value in fields.items() if key in known}, NamespaceLimits)


def _is_ours(key: str) -> bool:
    return key in _OWN or key[:1] == "_"


def _opened(key: str, uuid: str, sealer: Sealer) -> str:
    if not key.startswith(_SEALED):
        return key
    try:
        return sealer.open(b64decode(key.removeprefix(_SEALED)), uuid)
    except ValueError:
        raise ConfigurationError(
            "couchdb.key_file", "a stored login was sealed with another key, or is damaged: use the fleet's key file"
        ) from None
