"""What is written today, one of each: messages, a node's report, documents. Fixed values, so that their bytes are fixed."""

from __future__ import annotations

from typing import Any

import msgspec

from upwhisk.backends.store.couchdb_documents import entity_fields
from upwhisk.backends.store.couchdb_records import stored
from upwhisk.common.ids import ActivationId, ControllerId, NodeId, TransactionId
from upwhisk.common.messages import (
    Accepted,
    ActionRef,
    ActivationMessage,
    Begun,
    Bundle,
    Carried,
    Completion,
    Demand,
    Discarded,
    Dispatched,
    Message,
    Noted,
    Returned,
    Settled,
    encode_message,
)
from upwhisk.common.model.activation import Activation, Status, failed, succeeded
from upwhisk.common.model.parameters import Parameter
from upwhisk.common.model.placed import Why
from upwhisk.common.spi.nodes import NodeReport, NodeState
from upwhisk.common.spi.store import Document

FIRST, SECOND = ActivationId("0123456789abcdef0123456789abcdef"), ActivationId("f" * 32)
PENDING = ActivationId("a" * 32)
"""What is under way in the data folder."""
_NODE, _LOG = NodeId("n1"), ControllerId("c1-0a1b2c3d")

WORK = ActivationMessage(
    activation_id=FIRST,
    transaction_id=TransactionId("sid_0123"),
    action=ActionRef(namespace="guest", package="pkg", name="hello", version="0.0.2", revision="2-b", binding="other/bound"),
    demand=Demand(kind="python:3.11", memory_mb=256, timeout_ms=60_000, concurrency=4),
    subject="guest",
    namespace="guest",
    namespace_uuid="23bc46b1-71f6-4ed5-8c54-816aa4f8c502",
    arguments={"text": "ä€😀", "list": [1, 2.5, None, True], "deep": {"a": {"b": []}}},
    init_arguments={"KEY": "value"},
    accepted_ms=1_754_400_000_000,
    queued_ms=7,
    blocking=True,
    cause=SECOND,
    controller=_LOG,
    attempt=2,
    retry_safe=True,
    journalled=True,
    stored=False,
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    placed=Why("warm", 3, {"n2": "no permit free"}, {"down": 1}, warm=True),
    dispatch=3,
    node=_NODE,
    incarnation="9f8e7d6c",
)
BEYOND_64_BITS = msgspec.structs.replace(WORK, arguments={"big": 2**70})
RECORD = Activation(
    namespace="guest",
    name="hello",
    version="0.0.2",
    subject="guest",
    activation_id=FIRST,
    start=1_754_400_000_000,
    end=1_754_400_000_042,
    duration=42,
    cause=SECOND,
    response=succeeded({"greeting": "hello", "n": 1.5}, 31),
    logs=("2026-01-01T00:00:00.000000000Z stdout: hello",),
    annotations=(Parameter("path", "guest/pkg/hello"), Parameter("limits", {"memory": 256})),
)
TRIGGER = Activation(
    namespace="guest", name="tick", version="0.0.1", subject="guest", activation_id=SECOND, start=1_754_400_000_000,
    response=failed(Status.WHISK_ERROR, "lost"),
)  # fmt: skip
MESSAGES: dict[str, Message] = {
    "activation": WORK,
    "activation-beyond-64-bits": BEYOND_64_BITS,
    "begun": Begun(activation_id=FIRST, node=_NODE, attempt=2, dispatch=3),
    "completion": Completion(
        activation_id=FIRST, node=_NODE, attempt=2, record=RECORD, dispatch=3, stored=False, journalled=True
    ),
    "returned": Returned(activation_id=FIRST, node=_NODE, attempt=2, reason="the node is stopping", dispatch=3),
    "bundle": Bundle(
        owner=ControllerId("c1/0a1b"),
        number=7,
        entries=(
            Accepted(messages=(WORK,), records=(TRIGGER,)),
            Begun(activation_id=FIRST, node=_NODE, attempt=2, dispatch=3),
            Dispatched(activation_id=FIRST, node=_NODE, incarnation="9f8e7d6c", dispatch=3, attempt=2),
            Noted(activation_id=FIRST, progress=b"\x00progress"),
            Settled(record=RECORD),
            Discarded(activation_id=SECOND),
            Carried(message=WORK, attempt=1, begun=True, progress=b"p"),
        ),
    ),
}
REPORT = NodeReport(
    node=_NODE, memory_mb=2048, cores=4.0, node_kind="harvest", kinds=("nodejs:20", "python:3.11"), networks=("api",),
    warm=("guest/guest/hello@2-b",), state=NodeState.DRAINING, reason="a new disk", headroom={10: 1.5}, version="0.1.0",
    incarnation="9f8e7d6c", address="http://127.0.0.1:9300", images=True,
)  # fmt: skip
ACTION = Document(
    id="guest/pkg/hello", collection="actions", namespace="guest", path="guest/pkg", name="hello",
    updated=1_754_400_000_000, body={"exec": {"kind": "python:3.11", "code": "x"}, "version": "0.0.2", "publish": False},
    revision="2-b",
)  # fmt: skip


def written() -> dict[str, bytes]:
    """File name -> what this release writes."""
    files = {f"{name}.msgpack": encode_message(message) for name, message in MESSAGES.items()}
    documents: dict[str, Any] = {
        "report.json": REPORT,
        "couchdb-action.json": {**entity_fields(ACTION), "_rev": ACTION.revision},
    }
    files |= {name: msgspec.json.encode(document) for name, document in documents.items()}
    return {**files, "couchdb-record.json": stored(RECORD).document, "couchdb-trigger.json": stored(TRIGGER).document}
