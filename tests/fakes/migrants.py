"""A store full of everything that a migration has to carry, and the comparison of two such stores."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
from fakes.samples import START_MS, document, record

from upwhisk.common.model.activation import Activation, succeeded
from upwhisk.common.model.identity import NamespaceKey, NamespaceLimits, Subject
from upwhisk.common.model.parameters import Parameter
from upwhisk.common.spi.store import Document, DocumentStore, Page

T = TypeVar("T")
KEY = "s3cr3tK3y" * 7 + "x"
GUEST = Subject("guest", (NamespaceKey("guest", "23bc46b1-71f6-4ed5-8c54-816aa4f8c502", KEY),))
ALICE = Subject("alice", (NamespaceKey("alice", "u-1", KEY), NamespaceKey("team", "u-2", KEY[::-1])))
BLOCKED = Subject("mallory", (NamespaceKey("mallory", "u-3", KEY),), blocked=True)
LIMITS = NamespaceLimits(invocations_per_minute=7, allowed_kinds=("python:3.11",), store_activations=False, max_payload_size="2 MB")
RAW = b'{\n "z" : 1e3,\t"a":[1.0, 18446744073709551617], "a": "\\u00e9 \xf0\x9f\x90\x8d" }'


def documents() -> list[Document]:
    exact = {"version": "1.2.3", "publish": False, "annotations": [{"key": "n", "value": 1e300}, {"key": "ü", "value": {"2": 1, "1": "🐍"}}]}
    rule = {"version": "0.0.2", "status": "inactive", "trigger": "guest/t", "action": "guest/pkg/large"}
    return [
        document("inline", body={**exact, "exec": {"kind": "python:3.11", "code": "def main(args):\n    return {'ü': '🐍'}\n"}}),
        document("pkg", collection="packages", body={"publish": True, "parameters": [{"key": "p", "value": None}]}, updated=START_MS + 5),
        document("large", package="pkg", body={"exec": {"kind": "nodejs:20", "binary": True}}, attachment=os.urandom(3_000_000)),
        document("t", collection="triggers", body={"rules": {"guest/r": {"status": "inactive"}}}),
        document("r", collection="rules", body=rule),
        document("inline", namespace="team", updated=START_MS - 99, body={"version": "0.0.1"}),
        document("a", namespace="_odd", body={"version": "0.0.1"}),
    ]


def records(count: int) -> list[Activation]:
    odd = msgspec.structs.replace(record(start=START_MS + 1), response=succeeded(msgspec.Raw(RAW), 30))
    large = record(namespace="team", start=START_MS + 2, logs=("x" * 900_000, "ü"))
    trigger = record(name="t", start=START_MS + 3, annotations=(Parameter("causedBy", {"a": [1, 2.5]}),))
    return [odd, large, trigger, *(record(start=START_MS + 4 + n // 3, result={"n": n}) for n in range(count))]


async def fill(store: DocumentStore, count: int = 20) -> None:
    for subject in (GUEST, ALICE, BLOCKED, Subject("empty")):
        await store.subjects.put(subject)
    await store.subjects.put_limits("team", LIMITS)
    await store.subjects.put_limits("nobody", NamespaceLimits(max_action_memory=1))
    for each in documents():
        await store.entities.put(each)
    await store.activations.put(records(count))


async def content(store: DocumentStore) -> dict[str, Any]:
    """Everything, but for revisions."""
    inventory, subjects = store.inventory, store.subjects
    found = [await store.entities.get(name, attachment=True) for name in await everything(inventory.entities)]
    return {
        "subjects": {name: await subjects.get(name) for name in await everything(inventory.subjects)},
        "limits": {name: await subjects.limits(name) for name in await everything(inventory.limits)},
        "entities": {each.id: msgspec.structs.replace(each, revision=None) for each in found if each is not None},
        "records": sorted(await everything(inventory.records)),
    }


async def everything(read: Callable[[str], Awaitable[Page[T]]]) -> list[T]:
    found: list[T] = []
    after: str | None = ""
    while after is not None:
        page = await read(after)
        found += page.items
        after = page.next
    return found
