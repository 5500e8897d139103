"""`/namespaces/{ns}/activations`, and the live state under `/upwhisk/v1/activations`."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from upwhisk.common.errors import BadRequest, Conflict, HttpError, NotFound
from upwhisk.common.ids import ActivationId, is_activation_id
from upwhisk.common.model.activation import Response
from upwhisk.common.spi.store import ActivationQuery
from upwhisk.controller.api.ports import Services
from upwhisk.controller.api.query import Query, flag, malformed, page, timestamp
from upwhisk.controller.api.reply import Reply, json_reply
from upwhisk.controller.api.request import Request
from upwhisk.controller.entitlement import check_namespace

_LENGTH: Final = 32
_NAME: Final = re.compile(r"\A[^/]+(/[^/]+)?\Z")


class _Outcome(msgspec.Struct):
    status: str


class _Row(msgspec.Struct, rename="camel"):
    """What a list shows of a record."""

    namespace: str
    name: str
    version: str
    activation_id: str
    start: int
    response: _Outcome
    publish: bool = False
    annotations: msgspec.Raw = msgspec.Raw(b"[]")
    end: int | msgspec.UnsetType = msgspec.UNSET
    duration: int | msgspec.UnsetType = msgspec.UNSET
    cause: str | msgspec.UnsetType = msgspec.UNSET


class _Parts(msgspec.Struct):
    response: msgspec.Raw
    logs: tuple[str, ...] = ()


_read_row: Final = msgspec.json.Decoder(_Row).decode
_read_parts: Final = msgspec.json.Decoder(_Parts).decode


class ActivationsApi:
    def __init__(self, services: Services) -> None:
        self._services = services

    async def list(self, request: Request) -> Reply:
        namespace = request.namespace
        check_namespace(request.identity, namespace)
        query = request.query
        wanted = page(query, "activations", self._services.limits)
        docs = flag(query, "docs")
        if wanted.count and docs:
            raise BadRequest("The parameter 'docs' is not permitted with 'count'.")
        selection = ActivationQuery(
            namespace=namespace,
            name=_name(query),
            since=timestamp(query, "since"),
            upto=timestamp(query, "upto"),
            skip=wanted.skip,
            limit=wanted.limit,
        )
        if wanted.count:
            return json_reply({"activations": await self._services.activations.count(selection)})
        records = await self._services.activations.list(selection)
        if docs:
            return Reply(200, b"[" + b",".join(records) + b"]")
        return json_reply([_summary(_read_row(record)) for record in records])

    async def get(self, request: Request) -> Reply:
        return Reply(200, await self._record(request))

    async def result(self, request: Request) -> Reply:
        parts = _read_parts(await self._record(request))
        return Reply(200, bytes(parts.response))

    async def log_lines(self, request: Request) -> Reply:
        parts = _read_parts(await self._record(request))
        id_ = ActivationId(request.parameters[1])
        lines = await self._services.logs.read(request.namespace, id_, parts.logs)
        return json_reply({"logs": lines})

    async def _record(self, request: Request) -> bytes:
        id_ = activation_id(request.parameters[1])
        check_namespace(request.identity, request.namespace)
        record = await self._services.activations.get(request.namespace, id_)
        if record is None:
            raise NotFound()
        return record


class LiveApi:
    """Our own part: what an activation is doing before it has a record, why it is where it is, and its end."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def get(self, request: Request) -> Reply:
        id_, namespace = activation_id(request.parameters[0]), request.identity.namespace
        state = self._services.live.live(namespace, id_)
        if state is not None:
            return json_reply(state)
        record = await self._services.activations.get(namespace, id_)
        if record is None:
            raise NotFound()
        return json_reply(_done(_read_row(record)))

    async def why(self, request: Request) -> Reply:
        id_ = activation_id(request.parameters[0])
        namespace = request.identity.namespace
        reasons = self._services.live.why(namespace, id_)
        if reasons is not None:
            return json_reply(reasons)
        record = await self._services.activations.get(namespace, id_)
        if record is None:
            raise NotFound()
        return json_reply(_reasons(_read_row(record)))

    async def cancel(self, request: Request) -> Reply:
        id_ = activation_id(request.parameters[0])
        namespace, live = request.identity.namespace, self._services.live
        if not await live.cancel(namespace, id_):
            raise await self._not_cancelled(namespace, id_)
        return json_reply({"activationId": id_, "cancelled": True})

    async def _not_cancelled(self, namespace: str, id_: ActivationId) -> HttpError:
        if self._services.live.live(namespace, id_) is not None:
            return Conflict("The activation is on a node already; only what waits can be cancelled.")
        if await self._services.activations.get(namespace, id_) is not None:
            return Conflict("The activation has ended; only what waits can be cancelled.")
        return NotFound()


def activation_id(text: str) -> ActivationId:
    if len(text) != _LENGTH:
        raise BadRequest(f"Activation id length is {len(text)} but must be {_LENGTH}.")
    if not is_activation_id(text):
        raise BadRequest("The activation id is not valid.")
    return ActivationId(text)


def _name(query: Query) -> str | None:
    name = query.get("name", "").strip()
    if not name:
        return None
    if _NAME.match(name) is None:
        text = f"Parameter may be a 'simple' name or 'package-name/simple' name: {name}"
        raise malformed("name", text)
    return name


def _summary(row: _Row) -> dict[str, Any]:
    view: dict[str, Any] = {
        "namespace": row.namespace,
        "name": row.name,
        "version": row.version,
        "publish": row.publish,
        "annotations": row.annotations,
        "activationId": row.activation_id,
        "start": row.start,
    }
    if isinstance(row.end, int):
        view |= {"end": row.end, "duration": row.duration, "statusCode": _code(row)}
    if isinstance(row.cause, str):
        view["cause"] = row.cause
    return view


def _code(row: _Row) -> int:
    return int(Response(row.response.status, False).code)


def _reasons(row: _Row) -> dict[str, Any]:
    """What the record kept of the placement, in the form of a live activation's reasons."""
    annotations: list[dict[str, Any]] = msgspec.json.decode(row.annotations)
    ours: dict[str, Any] = next((a["value"] for a in annotations if a.get("key") == "upwhisk"), {})
    why = {"node": ours.get("node"), "refused": {}, "counts": {}, "warm": False, **(ours.get("why") or {})}
    return {"activationId": row.activation_id, "state": "done", "start": ours.get("start"), **why}


def _done(row: _Row) -> dict[str, Any]:
    return {
        "activationId": row.activation_id,
        "state": "done",
        "status": row.response.status,
        "start": row.start,
    }
