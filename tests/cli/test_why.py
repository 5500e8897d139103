"""`upwhisk activation why`: where it went and why not elsewhere."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from api.platform import GUEST, InProcess, in_process
from cli.command import Command, Recorder
from fakes.rig import rig
from fakes.samples import record

from upwhisk.cli.placed import node_rows, placement_text
from upwhisk.common.clock import SystemClock
from upwhisk.common.ids import ActivationId
from upwhisk.common.model.parameters import Parameter
from upwhisk.common.model.placed import Placed, Why
from upwhisk.controller.live import LiveView

ID = "5f0f2ac1b5e84a1d8f2ac1b5e84a1d00"
WAITING = {
    "activationId": ID, "state": "queued", "node": None, "policy": "warm", "considered": 1203,
    "refused": {"board1": "down: no heartbeat for 10 s", "board2": "no permit free"},
    "counts": {"down": 1, "no permit free": 1202}, "warm": False,
}  # fmt: skip


@pytest.fixture
async def local() -> Any:
    async with in_process() as found:
        yield found


@pytest.fixture
def upwhisk(local: InProcess, tmp_path: Any) -> Command:
    return Command(tmp_path, f"http://127.0.0.1:{local.server.port}", GUEST)


async def test_work_that_waits(local: InProcess, upwhisk: Command) -> None:
    local.live.reasons["guest", ID] = WAITING
    done = await upwhisk("activation", "why", ID)
    assert (done.code, done.err) == (0, "")
    assert done.lines == [
        f"ok: activation {ID} waits: none of 1,203 nodes takes it now (policy warm)",
        "node          outcome  reason",
        "board1        refused  down: no heartbeat for 10 s",
        "board2        refused  no permit free",
        "(1,201 more)  refused  no permit free",
    ]
    assert (await upwhisk("activation", "why", ID, "--output", "json")).data == WAITING
    assert "policy: warm\n" in (await upwhisk("activation", "why", ID, "--output", "yaml")).out
    assert (await upwhisk("activation", "why", ID, "--output", "table")).lines == done.lines[1:]


async def test_the_record_of_what_ended_keeps_the_reasons(local: InProcess, upwhisk: Command) -> None:
    why = Why("hash", 4, {"b": "draining: so it is"}, {"draining": 1}, warm=True)
    placed = Placed(node="a", start="warm", why=why)
    ended = record(ActivationId(ID), start=SystemClock().now_ms(), annotations=(Parameter("upwhisk", placed),))
    await local.store.activations.put([ended])
    for arguments in ((ID,), ("--last",)):
        done = await upwhisk("activation", "why", *arguments)
        assert done.lines == [
            f"ok: activation {ID} went to node a, one of 4 nodes (policy hash, warm)",
            "node      outcome   reason",
            "a         chosen",
            "b         refused   draining: so it is",
            "(2 more)  possible",
        ]


async def test_work_that_was_not_placed(local: InProcess, upwhisk: Command) -> None:
    await local.store.activations.put([record(ActivationId(ID), start=SystemClock().now_ms())])
    done = await upwhisk("activation", "why", ID)
    assert done.out == (
        f"ok: activation {ID} has no placement of its own: it is a sequence or a trigger, or ended before it was placed\n"
    )


async def test_unknown_and_wrong_ids(upwhisk: Command) -> None:
    done = await upwhisk("activation", "why", ID)
    assert (done.code, done.out) == (148, "")
    text = rf"error: Unable to explain activation '{ID}': The requested resource does not exist\. \(code \w{{32}}\)\nhint: ids are"
    assert re.match(text, done.err)
    done = await upwhisk("activation", "why", "short")
    assert done.code == 144
    assert "Activation id length is 5 but must be 32." in done.err
    done = await upwhisk("activation", "why")
    assert (done.code, done.err.splitlines()[0]) == (1, "error: Invalid argument(s). An activation ID is required.")


async def test_what_is_asked_of_the_platform(recorded: Command, server: Recorder) -> None:
    await recorded("activation", "why", "abc")
    assert server.lines == ["GET /upwhisk/v1/activations/abc/why"]


async def test_a_live_activation_says_the_decision() -> None:
    """The reasons as the controller's own parts make them."""
    async with rig(memory_mb=256) as made:
        made.node.behaviours["a"] = lambda message: None
        await made.action("a")
        first = (await made.invoke("a", blocking=False)).activation_id
        second = (await made.invoke("a", blocking=False)).activation_id
        live = LiveView(made.balancer, made.sequences, made.store.journal, SystemClock(), lambda _: "running")
        placed, waiting = live.why("guest", first), live.why("guest", second)
        assert placed is not None
        assert waiting is not None
        assert placement_text(placed) == "went to node 0, one of 1 node (policy warm)"
        assert node_rows(placed) == [{"node": "0", "outcome": "chosen", "reason": ""}]
        assert placement_text(waiting) == "waits: none of 1 node takes it now (policy warm)"
        assert node_rows(waiting) == [{"node": "0", "outcome": "refused", "reason": "no permit free"}]
        third = (await made.invoke("a", blocking=False)).activation_id
        behind = live.why("guest", third)
        assert behind is not None, "also of what is not at the head of the line"
        assert placement_text(behind) == "waits: none of 1 node takes it now (policy warm)"
        message = made.node.held[0]
        assert msgspec.to_builtins(message.placed) == {"policy": "warm", "considered": 1}
