"""The life of one activation on a node, on fakes: it ends with one record, whatever breaks."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import structlog
from fakes.containers import HeldContainer, HeldFactory

from upwhisk.backends.logs.inline import InlineLogStore
from upwhisk.common.clock import SystemClock
from upwhisk.common.errors import ContainerCreateFailed
from upwhisk.common.forms import Unreadable
from upwhisk.common.ids import NodeId, TransactionId, new_activation_id
from upwhisk.common.messages import ActionRef, ActivationMessage, Demand, Message
from upwhisk.common.model.action import Action, Exec
from upwhisk.common.model.activation import NO_CONTAINER, Activation
from upwhisk.common.names import EntityName
from upwhisk.common.spi.bus import Delivery
from upwhisk.common.spi.containers import SENTINEL, ContainerSpec, GuestAnswer, LogChunk, Network
from upwhisk.invoker.actions import ActionCache, Runnable, prepare
from upwhisk.invoker.activation import Runner, RunnerPorts
from upwhisk.invoker.handback import Handback
from upwhisk.invoker.keys import KeyRing
from upwhisk.invoker.pool.pool import Pool
from upwhisk.invoker.pool.slots import PoolLimits


class Guest(HeldContainer):
    """Answers /init with nothing and /run with `result` (or fails with it, if it is an error)."""

    def __init__(self, id: str, spec: ContainerSpec, result: Any) -> None:
        super().__init__(id, spec, HeldFactory().steps, held=False)
        self.result = result
        self.ran = 0

    async def post(
        self, path: str, body: bytes, *, timeout_s: float, max_answer: int, single_use: bool = False
    ) -> GuestAnswer:
        if path == "/init":
            return GuestAnswer(200, b"{}", 2)
        self.ran += 1
        if isinstance(self.result, BaseException):
            raise self.result
        data = json.dumps(self.result).encode()
        return GuestAnswer(200, data, len(data))

    def read_logs(self) -> list[LogChunk]:
        end = f"{SENTINEL}\n".encode()
        return [LogChunk("stdout", b"hello\n" + end, 0), LogChunk("stderr", end, 0)]


class Guests(HeldFactory):
    def __init__(self, result: Any) -> None:
        super().__init__(held=False)
        self.result = result

    async def create(self, spec: ContainerSpec) -> Guest:
        if isinstance(self.result, ContainerCreateFailed):
            raise self.result
        guest = Guest(str(len(self.made)), spec, self.result)
        self.made.append(guest)
        return guest


class Kept(Handback):
    """Keeps what it is given; `broken`: the first settling raises; `away`: why no container can be made."""

    def __init__(self, *, broken: bool = False, away: str | None = None) -> None:
        self.away = away
        self.begun: list[str] = []
        self.records: list[Activation] = []
        self.given_back: list[str] = []
        self._broken = broken

    async def begin(self, message: ActivationMessage) -> bool:
        self.begun.append(message.activation_id)
        return True

    async def settle(self, message: ActivationMessage, record: Activation) -> None:
        if self._broken:
            self._broken = False
            raise RecursionError("maximum recursion depth exceeded")
        self.records.append(record)

    async def give_back(self, message: ActivationMessage | Unreadable, *, started: bool = False) -> None:
        self.given_back.append(message.activation_id)

    def goes_on(self, message: ActivationMessage) -> bool:
        return True

    def problem(self) -> str | None:
        return self.away


class OneAction(ActionCache):
    def __init__(self, runnable: Runnable) -> None:
        self._runnable = runnable

    def cached(self, ref: ActionRef) -> Runnable | None:
        return self._runnable


class NoKeys(KeyRing):
    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    async def key_of(self, message: ActivationMessage) -> str | None:
        if self._error is not None:
            raise self._error
        return None


class Given(Delivery):
    def __init__(self, message: Message) -> None:
        self.message = message
        self.is_done = False

    def done(self) -> None:
        self.is_done = True


NAME = EntityName("guest", None, "hello")
ACTION = Action(name=NAME, exec=Exec("python:3.11", code="x"))


def message() -> ActivationMessage:
    return ActivationMessage(
        activation_id=new_activation_id(),
        transaction_id=TransactionId("t"),
        action=ActionRef(namespace="guest", package=None, name="hello", version="0.0.1", revision="1-a"),
        demand=Demand(memory_mb=256, timeout_ms=1000, kind="python:3.11", concurrency=1),
        subject="guest",
        namespace="guest",
        namespace_uuid="u",
        arguments={},
        accepted_ms=SystemClock().now_ms(),
        journalled=True,
    )


async def run(result: Any, handback: Kept, *, keys: KeyRing | None = None) -> tuple[Given, Guests]:
    factory, clock = Guests(result), SystemClock()
    pool = Pool(factory, PoolLimits(1024), clock)
    ports = RunnerPorts(
        pool=pool,
        actions=OneAction(prepare(ACTION, Network.NONE)),
        keys=keys or NoKeys(),
        handback=handback,
        logs=InlineLogStore(),
        clock=clock,
    )
    delivery = Given(message())
    with structlog.testing.capture_logs():
        try:
            await asyncio.wait_for(Runner(ports, NodeId("0"), result_bytes=1 << 20).run(delivery), 10)
        finally:
            await pool.aclose()
    return delivery, factory


async def test_a_run_ends_with_its_record() -> None:
    handback = Kept()
    delivery, _ = await run({"a": 1}, handback)
    (record,) = handback.records
    assert record.response.result == {"a": 1}
    assert [line.rpartition(": ")[2] for line in record.logs] == ["hello"]
    assert handback.begun == [record.activation_id]
    assert delivery.is_done


async def test_code_that_failed_may_have_said_more_than_its_log_holds() -> None:
    """Also when its output ended in order."""
    handback = Kept()
    await run("no object", handback)
    (record,) = handback.records
    assert record.response.status == "action developer error"
    hello, note = record.logs
    assert hello.endswith("stdout: hello")
    assert note.endswith("stderr: The action did not initialize or run as expected. Log data might be missing.")


@pytest.mark.parametrize("error", [RuntimeError("nobody thought of it"), OSError(24, "Too many open files")])
async def test_what_nobody_thought_of_ends_as_internal_error(error: Exception) -> None:
    for result, keys in ((error, None), ({}, NoKeys(error))):
        handback = Kept()
        delivery, factory = await run(result, handback, keys=keys)
        (record,) = handback.records
        assert record.response.status == "whisk internal error"
        assert type(error).__name__ in record.response.result["error"]
        assert delivery.is_done
        assert all(guest.destroyed for guest in factory.made), "nobody knows what state it is in"


async def test_a_record_that_cannot_be_stored_is_replaced() -> None:
    handback = Kept(broken=True)
    delivery, _ = await run({"a": 1}, handback)
    (record,) = handback.records
    assert record.response.status == "whisk internal error"
    assert "RecursionError" in record.response.result["error"]
    assert delivery.is_done


async def test_without_a_container_it_ends_before_it_has_started() -> None:
    handback = Kept()
    delivery, _ = await run(ContainerCreateFailed("no namespaces"), handback)
    (record,) = handback.records
    assert record.response.result == {"error": NO_CONTAINER}
    assert handback.begun == []
    assert delivery.is_done


async def test_what_gets_no_container_as_the_engine_is_away_goes_back() -> None:
    handback = Kept(away="the container engine does not answer")
    delivery, _ = await run(ContainerCreateFailed("connection refused"), handback)
    assert handback.given_back == [delivery.message.activation_id]  # type: ignore[union-attr]
    assert handback.records == []
    assert delivery.is_done


async def test_what_has_a_container_runs_though_the_engine_is_away() -> None:
    handback = Kept(away="the container engine does not answer")
    await run({"a": 1}, handback)
    assert [record.response.result for record in handback.records] == [{"a": 1}]
    assert handback.given_back == []
