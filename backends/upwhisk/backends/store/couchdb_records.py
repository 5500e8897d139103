"""Activation records as documents, both ways: what is read is byte for byte what was written. Pure.

The document has the record's own fields, as OpenWhisk's has, and one of ours: `upwhisk`. Its `size` is the length of the
record; where the fields would give other bytes back, `result` holds the exact text of `response.result`, or `record` that
of everything. A large record is an attachment, and its document has no logs and no result.
"""

from __future__ import annotations

from typing import Any

import msgspec

from upwhisk.backends.store.couchdb_json import document_key, is_taken, survives
from upwhisk.common.ids import ActivationId, is_activation_id
from upwhisk.common.model.activation import Activation, decode_record, encode_record

RECORD = "record"
"""The attachment with a large record."""
LARGE = 256 * 1024
"""Bytes above which a record is an attachment: views parse each document in JavaScript."""
_encode = msgspec.json.Encoder().encode


class Extra(msgspec.Struct, frozen=True, omit_defaults=True):
    """Our field of a record's document."""

    size: int = 0
    result: str | None = None
    record: str | None = None


class StoredRecord(msgspec.Struct, frozen=True):
    """`document`: its JSON, without an attachment. `attachment`: the record, if it is not in the document."""

    id: ActivationId
    document: bytes
    record: Activation
    attachment: bytes | None = None

    @property
    def size(self) -> int:
        """Bytes that travel."""
        return len(self.document) + (0 if self.attachment is None else len(self.attachment) * 4 // 3 + 200)


class _Fields(msgspec.Struct):
    upwhisk: Extra = Extra()
    attachments: dict[str, Any] | msgspec.UnsetType = msgspec.field(name="_attachments", default=msgspec.UNSET)


_fields = msgspec.json.Decoder(_Fields).decode


def key_of(namespace: str, id: ActivationId) -> str:
    return document_key(f"{namespace}/{id}")


def stored(record: Activation) -> StoredRecord:
    """`ValueError` for what is no activation id."""
    if not is_activation_id(record.activation_id):
        raise ValueError(f"no activation id: {record.activation_id!r}")
    text = encode_record(record)
    if len(text) > LARGE:
        return attached(record, text)
    if _comes_back(text):
        return _row(record, text, Extra(len(text)))
    return _exact(record, text)


def attached(record: Activation, text: bytes | None = None) -> StoredRecord:
    """The record as an attachment, for what is too large or refused as JSON."""
    text = encode_record(record) if text is None else text
    bare = _shown(msgspec.structs.replace(record, logs=()))
    return msgspec.structs.replace(_row(record, bare, Extra(len(text))), attachment=text)


def record_of(document: bytes | msgspec.Raw) -> bytes | None:
    """The record in a document; None if it is in the attachment."""
    fields = _fields(document)
    if fields.upwhisk.record is not None:
        return fields.upwhisk.record.encode()
    if fields.attachments is not msgspec.UNSET and RECORD in fields.attachments:
        return None
    record = decode_record(document)
    if fields.upwhisk.result is not None:
        record = _with_result(record, msgspec.Raw(fields.upwhisk.result.encode()))
    return encode_record(record)


def _exact(record: Activation, text: bytes) -> StoredRecord:
    rest = encode_record(_without_result(record))
    # The fields keep a result that any reader can parse, be it with other digits.
    fields = text if _is_json(text) and is_taken(text) else _shown(record)
    if record.response.result is not msgspec.UNSET and _comes_back(rest):
        result = _encode(record.response.result)
        if _is_text(result):
            return _row(record, fields, Extra(len(text), result=result.decode()))
    if _is_text(text):
        return _row(record, fields, Extra(len(text), record=text.decode()))
    return attached(record, text)


def _row(record: Activation, fields: bytes, extra: Extra) -> StoredRecord:
    key = _encode(key_of(record.namespace, record.activation_id))
    document = b'{"_id":%b,"upwhisk":%b,%b' % (key, _encode(extra), fields[1:])
    return StoredRecord(record.activation_id, document, record)


def _shown(record: Activation) -> bytes:
    """What any CouchDB takes of it: no result, and no annotation with a number that is too long."""
    text = encode_record(rest := _without_result(record))
    if is_taken(text):
        return text
    annotations = tuple(each for each in rest.annotations if is_taken(_encode(each)))
    return encode_record(msgspec.structs.replace(rest, annotations=annotations))


def _without_result(record: Activation) -> Activation:
    return _with_result(record, msgspec.UNSET)


def _with_result(record: Activation, result: Any) -> Activation:
    return msgspec.structs.replace(record, response=msgspec.structs.replace(record.response, result=result))


def _comes_back(text: bytes) -> bool:
    try:
        return encode_record(decode_record(text)) == text and survives(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False


def _is_json(text: bytes) -> bool:
    try:
        decode_record(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _is_text(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
