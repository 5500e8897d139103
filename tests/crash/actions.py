"""What the crash tests deploy. Every run says so at its very start, by a datagram that the harness
acknowledges (and that is sent again, with the same number, if it does not)."""

from __future__ import annotations

from typing import Any

from fakes.running import Running

OUTSIDE, PORT = "198.51.100.9", 4242
"""Where the harness counts; guests reach it through the network `outbound`."""

EFFECT = f"""
import asyncio, json, os, socket, time

def effect(what, a):
    fields = [os.urandom(8).hex(), os.environ.get("__OW_ACTIVATION_ID"), a.get("token"), what, a.get("n", 0)]
    text = json.dumps(fields).encode()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(0.25)
        for _ in range(20):
            s.sendto(text, ("{OUTSIDE}", {PORT}))
            try:
                s.recv(100)
                return
            except TimeoutError:
                pass
"""
STEP = "    time.sleep(a.get('s', 0))\n    return {**a, 'n': a.get('n', 0) + 1}"
BODIES = {
    "quick": "    return {'token': a.get('token')}",
    "sleeper": "    time.sleep(a.get('s', 0))\n    return {'token': a.get('token')}",
    "retrying": "    time.sleep(a.get('s', 0))\n    return {'token': a.get('token')}",
    "failing": "    return {'error': 'as it should be'}",
    "raising": "    raise ValueError('as it should be')",
    "exiting": "    os._exit(3)",
    "idle": "    return {'token': a.get('token')}",
    "step": STEP,
    "retrying_step": STEP,
    "together": "    await asyncio.sleep(a.get('s', 0))\n    return {'token': a.get('token')}",
}
RETRY_SAFE = frozenset({"retrying", "retrying_step"})
SEQUENCES = {
    "inner": ["step", "retrying_step"],
    "outer": ["step", "inner", "step"],
    "broken": ["step", "failing", "step"],
}
STEPS = 4
"""Runs of a whole `outer`."""
RULES = {"to_quick": "quick", "to_failing": "failing", "to_outer": "outer", "to_retrying": "retrying"}
SILENT_RULE = "to_nobody"
TRIGGER = "door"


def deploy_all(platform: Running) -> None:
    for name, body in BODIES.items():
        head = "async def main(a):\n" if name == "together" else "def main(a):\n"
        limits: dict[str, Any] = {"memory": 128, "timeout": 20000}
        if name == "together":
            limits["concurrency"] = 4
        annotations: list[dict[str, Any]] = [{"key": "network", "value": "outbound"}]
        if name in RETRY_SAFE:
            annotations.append({"key": "retry-safe", "value": True})
        code = f"{EFFECT}\n{head}    effect({name!r}, a)\n{body}"
        platform.deploy(name, code, limits=limits, annotations=annotations)
    for name, components in SEQUENCES.items():
        exec_ = {"kind": "sequence", "components": [f"/_/{one}" for one in components]}
        _put(platform, f"actions/{name}", {"exec": exec_})
    _put(platform, f"triggers/{TRIGGER}", {})
    for rule, action in {**RULES, SILENT_RULE: "quick"}.items():
        _put(platform, f"rules/{rule}", {"trigger": f"/_/{TRIGGER}", "action": f"/_/{action}"})
    status, answer = platform.call("POST", f"/_/rules/{SILENT_RULE}", {"status": "inactive"})
    assert status == 200, answer


def _put(platform: Running, path: str, body: dict[str, Any]) -> None:
    status, answer = platform.call("PUT", f"/_/{path}?overwrite=true", body)
    assert status == 200, answer
