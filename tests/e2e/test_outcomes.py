"""What user code can do, through HTTP, in every runtime family: status, answer, record, logs."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
import zipfile
from typing import Any

import pytest
from fakes.running import Running

pytestmark = pytest.mark.sandbox

PYTHON = {
    "hello": ("def main(a):\n    print('hi')\n    return {'hello': a.get('name', 'nobody')}", 200, "success"),
    "array": ("def main(a):\n    return [1, 'zwei', {'drei': 3}]", 200, "success"),
    "unicode": ("def main(a):\n    print('☃')\n    return {'winter': '❄ ' + a.get('d', '☃') + ' ❄'}", 200, "success"),
    "app_error": ("def main(a):\n    return {'error': {'code': 7}, 'dropped': 1}", 502, "application error"),
    "raises": ("def main(a):\n    raise ValueError('bad é')", 502, "application error"),
    "none": ("def main(a):\n    return None", 502, "action developer error"),
    "text": ("def main(a):\n    return 'text'", 502, "action developer error"),
    "exits": ("import os\ndef main(a):\n    os._exit(3)", 502, "action developer error"),
    "syntax": ("def main(a)\n    return {}", 502, "action developer error"),
    "no_main": ("def other(a):\n    return {}", 502, "action developer error"),
    "exits_in_init": ("import os\nos._exit(3)", 502, "action developer error"),
}


@pytest.mark.parametrize("name", sorted(PYTHON))
def test_python(standalone: Running, name: str) -> None:
    code, status, outcome = PYTHON[name]
    standalone.deploy(name, code)
    got, answer = standalone.invoke(name)
    assert (got, answer if isinstance(answer, list) else answer["response"]["status"]) == (
        status,
        answer if isinstance(answer, list) else outcome,
    )
    again, _ = standalone.invoke(name)
    assert again == status, "the second call meets a warm or a new container, and the same outcome"


def test_results_and_logs(standalone: Running) -> None:
    standalone.deploy("logs", "import sys\ndef main(a):\n    print('out')\n    print('err', file=sys.stderr)\n    return a")
    status, answer = standalone.invoke("logs", {"x": 1})
    assert status == 200
    assert answer["logs"] == []
    record = standalone.record(answer["activationId"])
    assert [line[31:] for line in record["logs"]] == ["stdout: out", "stderr: err"]
    assert standalone.call("GET", f"/_/activations/{answer['activationId']}/logs")[1] == {"logs": record["logs"]}
    assert standalone.call("GET", f"/_/activations/{answer['activationId']}/result")[1] == record["response"]
    assert standalone.invoke("logs", {"x": 2}, "blocking=true&result=true") == (200, {"x": 2})


def test_time_limit(standalone: Running) -> None:
    standalone.deploy("slow", "import time\ndef main(a):\n    print('begun')\n    time.sleep(30)\n    return {}", limits={"timeout": 300})
    began = time.monotonic()
    status, answer = standalone.invoke("slow")
    assert status == 502
    assert time.monotonic() - began < 10
    assert answer["response"]["result"]["error"] == "The action exceeded its time limits of 300 milliseconds."
    record = standalone.record(answer["activationId"])
    assert {"key": "timeout", "value": True} in record["annotations"]
    assert record["logs"][0].endswith("stdout: begun")


def test_memory_limit(standalone: Running) -> None:
    code = "def main(a):\n    x = bytearray(400 * 1024 * 1024)\n    x[::4096] = b'1' * len(x[::4096])\n    return {'n': len(x)}"
    standalone.deploy("greedy", code, limits={"memory": 128})
    status, answer = standalone.invoke("greedy")
    assert status == 502
    assert answer["response"]["result"]["error"] == "The action exhausted its memory and was aborted."


def test_log_limit(standalone: Running) -> None:
    code = "def main(a):\n    for i in range(30000):\n        print('x' * 99)\n    return {}"
    standalone.deploy("chatty", code, limits={"logs": 1})
    status, answer = standalone.invoke("chatty")
    assert status == 200
    logs = standalone.record(answer["activationId"])["logs"]
    assert logs[-1].endswith("Logs were truncated because the total bytes size exceeds the limit of 1048576 bytes.")
    assert sum(len(line) for line in logs) < 1_700_000
    standalone.deploy("silent", "def main(a):\n    print('x')\n    return {}", limits={"logs": 0})
    assert standalone.record(standalone.invoke("silent")[1]["activationId"])["logs"] == []


def test_a_result_that_is_too_long(standalone: Running) -> None:
    standalone.deploy("long", "def main(a):\n    return {'a': 'x' * a['n']}")
    status, answer = standalone.invoke("long", {"n": 1024 * 1024 - 11})
    assert status == 200
    status, answer = standalone.invoke("long", {"n": 1024 * 1024})
    assert status == 502
    assert answer["response"]["status"] == "application error"
    assert answer["response"]["result"]["error"].startswith(
        "The action produced a response that exceeded the allowed length: "
    )


def test_blocking_falls_back(standalone: Running) -> None:
    standalone.deploy("late", "import time\ndef main(a):\n    time.sleep(0.5)\n    return {'done': True}")
    status, answer = standalone.invoke("late", None, "blocking=true&timeout=50")
    assert (status, list(answer)) == (202, ["activationId"])
    assert standalone.record(answer["activationId"])["response"]["result"] == {"done": True}


def test_parameters_reach_init_and_run(standalone: Running) -> None:
    code = "import os\nEARLY = os.environ.get('mode')\ndef main(a):\n    return {'early': EARLY, 'args': a}"
    parameters = [{"key": "mode", "value": "fast", "init": True}, {"key": "n", "value": 1}]
    standalone.deploy("params", code, parameters=parameters)
    status, answer = standalone.invoke("params", {"m": 2}, "blocking=true&result=true")
    assert (status, answer) == (200, {"early": "fast", "args": {"n": 1, "m": 2}})


def test_node(standalone: Running) -> None:
    standalone.deploy("njs", "function main(a) { console.log('hi'); return {hello: a.name || 'x'}; }", "nodejs:default")
    status, answer = standalone.invoke("njs", {"name": "n"})
    assert (status, answer["response"]["result"]) == (200, {"hello": "n"})
    assert [line[31:] for line in standalone.record(answer["activationId"])["logs"]] == ["stdout: hi"]
    standalone.deploy("njs_throws", "function main() { throw new Error('boom'); }", "nodejs:20")
    status, answer = standalone.invoke("njs_throws")
    assert answer["response"]["result"] == {"error": "An error has occurred: Error: boom"}
    assert answer["response"]["status"] == "action developer error"


def test_native(standalone: Running) -> None:
    script = "#!/bin/sh\necho log line\nread line\necho \"{\\\"got\\\": $line}\"\n"
    standalone.deploy("native", script, "blackbox", exec={"image": "openwhisk/dockerskeleton"})
    status, answer = standalone.invoke("native", {"a": 1})
    assert status == 200, answer
    assert answer["response"]["result"]["got"]["a"] == 1


def test_other_images_are_refused(standalone: Running) -> None:
    status, answer = standalone.call("PUT", "/_/actions/img", {"exec": {"kind": "blackbox", "image": "some/image"}})
    assert status == 400
    assert "needs --containers docker" in answer["error"]


def test_a_zip(standalone: Running) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("__main__.py", "from helper import word\ndef main(a):\n    return {'word': word}")
        archive.writestr("helper.py", "word = 'zipped'")
    standalone.deploy("zipped", base64.b64encode(buffer.getvalue()).decode())
    assert standalone.invoke("zipped", None, "blocking=true&result=true") == (200, {"word": "zipped"})


def test_several_at_once_in_one_container(standalone: Running) -> None:
    code = """
import asyncio, os
running = 0
async def main(a):
    global running
    running += 1
    print('begin', a['n'])
    for _ in range(200):
        if running == 5:
            break
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.1)
    print('end', a['n'])
    return {'pid': os.getpid(), 'together': running, 'n': a['n']}
"""
    standalone.deploy("together", code, limits={"concurrency": 5})
    assert standalone.invoke("together", {"n": 99}, "blocking=true&timeout=10000")[0] == 200
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda n=n: answers.append(standalone.invoke("together", {"n": n}))) for n in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [status for status, _ in answers] == [200] * 5
    for _, answer in answers:
        n = answer["response"]["result"]["n"]
        logs = standalone.record(answer["activationId"])["logs"]
        assert [line[31:] for line in logs] == [f"stdout: begin {n}", f"stdout: end {n}"]


def test_several_at_once_in_one_node_container(standalone: Running) -> None:
    code = """
let running = 0, most = 0;
async function main(a) {
    running++; most = Math.max(most, running);
    console.log('begin', a.n);
    for (let i = 0; i < 200 && most < 5; i++) await new Promise(done => setTimeout(done, 20));
    console.log('end', a.n);
    running--;
    return {pid: process.pid, most, n: a.n};
}
"""
    standalone.deploy("njs_together", code, "nodejs:20", limits={"concurrency": 5})
    assert standalone.invoke("njs_together", {"n": 99}, "blocking=true&timeout=20000")[0] == 200
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda n=n: answers.append(standalone.invoke("njs_together", {"n": n})))
        for n in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer["response"]["result"]["most"] for _, answer in answers] == [5] * 5
    for _, answer in answers:
        n = answer["response"]["result"]["n"]
        logs = standalone.record(answer["activationId"])["logs"]
        assert [line[31:] for line in logs] == [f"stdout: begin {n}", f"stdout: end {n}"]


def test_live_state_and_why(standalone: Running) -> None:
    standalone.deploy("live", "import time\ndef main(a):\n    time.sleep(a.get('s', 0))\n    return {}")
    standalone.invoke("live")
    id_ = standalone.invoke("live", {"s": 1.0}, "blocking=false")[1]["activationId"]
    deadline = time.monotonic() + 5
    while (state := standalone.call("GET", f"//upwhisk/v1/activations/{id_}")[1])["state"] != "running":
        assert time.monotonic() < deadline, state
    why = standalone.call("GET", f"//upwhisk/v1/activations/{id_}/why")[1]
    assert (why["node"], why["policy"], why["considered"]) == ("0", "warm", 1)
    record = standalone.record(id_)
    assert standalone.call("GET", f"//upwhisk/v1/activations/{id_}")[1]["state"] == "done"
    ours = next(a["value"] for a in record["annotations"] if a["key"] == "upwhisk")
    phases = ours["phases"]
    assert phases["run"] >= 1000
    assert phases.get("queue", 0) + phases.get("bus", 0) == phases.get("wait", 0)
    assert standalone.call("GET", f"//upwhisk/v1/activations/{id_}/why")[0] == 200


def test_sequences(standalone: Running) -> None:
    standalone.deploy("inc", "def main(a):\n    return {'n': a.get('n', 0) + 1}")
    standalone.deploy("stop", "def main(a):\n    return {'error': 'stop'}")
    sequence = {"exec": {"kind": "sequence", "components": ["/_/inc", "/_/inc"]}}
    assert standalone.call("PUT", "/_/actions/two", sequence)[0] == 200
    nested = {"exec": {"kind": "sequence", "components": ["/_/two", "/_/inc"]}}
    assert standalone.call("PUT", "/_/actions/three", nested)[0] == 200
    status, answer = standalone.invoke("three", {"n": 10})
    assert (status, answer["response"]["result"]) == (200, {"n": 13})
    record = standalone.record(answer["activationId"])
    inner = standalone.record(record["logs"][0])
    assert len(record["logs"]) == len(inner["logs"]) == 2
    assert inner["cause"] == record["activationId"]
    assert standalone.record(inner["logs"][0])["cause"] == inner["activationId"]
    standalone.call("PUT", "/_/actions/stops", {"exec": {"kind": "sequence", "components": ["/_/stop", "/_/inc"]}})
    status, answer = standalone.invoke("stops")
    assert (status, answer["response"]["result"]) == (502, {"error": "stop"})
    assert len(standalone.record(answer["activationId"])["logs"]) == 1


def test_triggers_and_rules(standalone: Running) -> None:
    standalone.deploy("echo", "def main(a):\n    return a")
    assert standalone.call("PUT", "/_/triggers/door", {"parameters": [{"key": "where", "value": "front"}]})[0] == 200
    assert standalone.call("POST", "/_/triggers/door", {"a": 1})[0] == 204
    for rule in ("r1", "r2"):
        body = {"trigger": "/_/door", "action": "/_/echo"}
        assert standalone.call("PUT", f"/_/rules/{rule}", body)[0] == 200
    assert standalone.call("POST", "/_/rules/r2", {"status": "inactive"}) == (200, "OK")
    status, answer = standalone.call("POST", "/_/triggers/door", {"a": 1})
    assert status == 202
    lines = [json.loads(line) for line in standalone.record(answer["activationId"])["logs"]]
    assert [line["success"] for line in sorted(lines, key=lambda one: str(one["rule"]))] == [True, False]
    started = next(line["activationId"] for line in lines if line["success"])
    result = standalone.record(started)["response"]["result"]
    assert (result["where"], result["a"]) == ("front", 1)
    assert "cause" not in standalone.record(started)


def test_a_key_is_given_only_on_request(standalone: Running) -> None:
    code = "import os\ndef main(a):\n    return {'key': os.environ.get('__OW_API_KEY', 'none')}"
    standalone.deploy("keyless", code)
    assert standalone.invoke("keyless", None, "blocking=true&result=true")[1] == {"key": "none"}
    standalone.deploy("keyed", code, annotations=[{"key": "provide-api-key", "value": True}])
    assert standalone.invoke("keyed", None, "blocking=true&result=true")[1] == {"key": standalone.key}
