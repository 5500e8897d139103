"""Start a platform, deploy everything under examples/, call it, and show the answers.

The exit status says whether every answer was right. `--keep` leaves the platform running and says how to use it.
"""

from __future__ import annotations

import argparse
import base64
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".make" / "examples"
START_S = 60
RECORD_S = 30
COLOUR = sys.stdout.isatty()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the platform running at the end")
    parser.add_argument("--cluster", action="store_true", help="a fleet from real parts instead of one process")
    options = parser.parse_args()
    began = time.monotonic()
    listing = build_examples()
    data = Path(tempfile.mkdtemp(prefix="upwhisk-demo-"))
    platform = Cluster() if options.cluster else Standalone(data)
    try:
        platform.start()
        deploy(platform, listing)
        wrong = [call["name"] for call in listing["calls"] if not show(platform, call)]
        show_record(platform)
        if options.keep and not options.cluster:
            say(f"\nstill running; use it with: export WSK_CONFIG_FILE={data}/.wskprops\nend it with: kill {platform.pid}")
    finally:
        if options.cluster or not options.keep:
            platform.stop()
            shutil.rmtree(data, ignore_errors=True)
    say(f"\n{len(listing['calls']) - len(wrong)} of {len(listing['calls'])} answers right, {time.monotonic() - began:.0f} s in all")
    if wrong:
        say(f"wrong: {', '.join(wrong)}")
    return 1 if wrong else 0


def build_examples() -> dict[str, Any]:
    say("building the examples (pip and npm fetch what they need once)")
    began = time.monotonic()
    done = subprocess.run([sys.executable, str(ROOT / "examples/build.py"), str(CACHE)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"examples/build.py failed:\n{done.stdout}{done.stderr}")
    say(f"built in {time.monotonic() - began:.1f} s")
    listing: dict[str, Any] = json.loads((CACHE / "deploy.json").read_text())
    return listing


class Platform:
    """A client for the platform of the demo."""

    pid = 0

    def __init__(self) -> None:
        self._url = self._key = ""
        self.last_id = ""

    def start(self) -> None:
        raise AssertionError("a platform of some form")

    def stop(self) -> None:
        raise AssertionError("a platform of some form")

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any, float]:
        """Status, JSON and milliseconds of one API call."""
        request = urllib.request.Request(f"{self._url}/api/v1/namespaces/_/{path}", method=method)
        request.add_header("Authorization", "Basic " + base64.b64encode(self._key.encode()).decode())
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        began = time.perf_counter()
        try:
            with urllib.request.urlopen(request, data, 90) as answer:
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                status, text = error.code, error.read()
        took = (time.perf_counter() - began) * 1000
        return status, json.loads(text or b"null"), took

    def record(self, id_: str) -> dict[str, Any]:
        deadline = time.monotonic() + RECORD_S
        while True:
            status, answer, _ = self.call("GET", f"activations/{id_}")
            if status == 200:
                self.last_id = id_
                record: dict[str, Any] = answer
                return record
            if time.monotonic() > deadline:
                raise SystemExit(f"no record of {id_} after {RECORD_S} s")
            time.sleep(0.02)


class Standalone(Platform):
    """`upwhisk standalone` as a child process."""

    def __init__(self, data: Path) -> None:
        super().__init__()
        self._data = data
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "upwhisk.cli", "standalone", "--port", "0", "--data", str(self._data)]
        self._process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "UPWHISK_LOG_LEVEL": "error"},
            start_new_session=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if "is ready at" not in line:
            sys.exit(f"the platform did not start (exit status {self._process.wait(START_S)}); see above, or run: upwhisk doctor")
        say(line)
        self.pid = self._process.pid
        self._url = line.split(" ready at ")[1].split()[0]
        lines = (self._data / ".wskprops").read_text().splitlines()
        self._key = next(one for one in lines if one.startswith("AUTH=")).removeprefix("AUTH=")

    def stop(self) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(45)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Cluster(Platform):
    """Two controllers, two nodes, Kafka, Consul and CouchDB's stand-in on this machine."""

    def __init__(self) -> None:
        super().__init__()
        sys.path.insert(0, str(ROOT / "tests"))
        from fleet.fleet import Fleet

        self._fleet = Fleet()

    def start(self) -> None:
        say("starting Kafka, Consul, CouchDB's stand-in, two controllers and two nodes")
        began = time.monotonic()
        self._fleet.start()
        say(f"ready in {time.monotonic() - began:.1f} s; calls go to both controllers in turn")
        self._key = self._fleet.key
        self._urls = itertools.cycle(self._fleet.urls)

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any, float]:
        self._url = next(self._urls)
        return super().call(method, path, body)

    def stop(self) -> None:
        self._fleet.stop()


def deploy(platform: Platform, listing: dict[str, Any]) -> None:
    for action in listing["actions"]:
        file = CACHE / action["artifact"]
        code = base64.b64encode(file.read_bytes()).decode() if action["binary"] else file.read_text()
        exec_ = {"kind": action["kind"], "code": code, "main": action["main"]}
        if "image" in action:
            exec_["image"] = action["image"]
        put(platform, f"actions/{action['name']}", {"exec": exec_, "limits": action["limits"]})
    for sequence in listing["sequences"]:
        components = [f"/_/{name}" for name in sequence["components"]]
        put(platform, f"actions/{sequence['name']}", {"exec": {"kind": "sequence", "components": components}})
    for trigger in listing["triggers"]:
        put(platform, f"triggers/{trigger['name']}", {})
    for rule in listing["rules"]:
        put(platform, f"rules/{rule['name']}", {"trigger": f"/_/{rule['trigger']}", "action": f"/_/{rule['action']}"})


def put(platform: Platform, path: str, body: dict[str, Any]) -> None:
    status, answer, took = platform.call("PUT", f"{path}?overwrite=true", body)
    if status != 200:
        sys.exit(f"could not deploy {path}: {status} {answer}")
    say(f"  deployed {path:<28} {took:7.1f} ms")


def show(platform: Platform, call: dict[str, Any]) -> bool:
    """Make one call, print it, and say whether it was right."""
    body = json.loads((CACHE / call["input_file"]).read_text()) if "input_file" in call else call["input"]
    problems = fire(platform, call, body) if "fire" in call else invoke(platform, call, body)
    say(paint("  right", 32) if not problems else paint("  WRONG: " + "; ".join(problems), 31))
    return not problems


def invoke(platform: Platform, call: dict[str, Any], body: dict[str, Any]) -> list[str]:
    say(f"\n{paint(call['name'], 1)} {shorten(body)}")
    timings = []
    for _ in range(3 if call["expect"]["status"] == "success" else 1):
        status, answer, took = platform.call("POST", f"actions/{call['invoke']}?blocking=true", body)
        timings.append(f"{took:.1f}")
    if "response" not in answer:
        return [f"answered {status} {answer}"]
    response = answer["response"]
    say(f"  {status} {response['status']}: {shorten(response.get('result'))}")
    record = platform.record(answer["activationId"])
    for line in record["logs"][:4]:
        say(f"    {shorten(line, text=True)}")
    say(f"  {' / '.join(timings)} ms (first call, then warm)" if len(timings) > 1 else f"  {timings[0]} ms")
    return check(call["expect"], response, record["logs"])


def fire(platform: Platform, call: dict[str, Any], body: dict[str, Any]) -> list[str]:
    say(f"\n{paint(call['name'], 1)} fired with {shorten(body)}")
    _, answer, took = platform.call("POST", f"triggers/{call['fire']}", body)
    lines = [json.loads(line) for line in platform.record(answer["activationId"])["logs"]]
    ran = {}
    for line in lines:
        if line["success"]:
            record = platform.record(line["activationId"])
            ran[record["name"]] = record["response"]["status"]
            say(f"  rule {line['rule']} ran {record['name']}: {shorten(record['response']['result'])}")
    say(f"  {took:.1f} ms to accept")
    return [f"{name} did not run well: {ran.get(name)}" for name in call["expect"]["runs"] if ran.get(name) != "success"]


def check(expect: dict[str, Any], response: dict[str, Any], logs: list[str]) -> list[str]:
    result = response.get("result")
    fields = result if isinstance(result, dict) else {}
    problems = []
    if response["status"] != expect["status"]:
        problems.append(f"status is {response['status']}, not {expect['status']}")
    for key, value in expect.get("result", {}).items():
        if fields.get(key) != value:
            problems.append(f"{key} is {shorten(fields.get(key))}, not {shorten(value)}")
    for key, value in expect.get("result_begins", {}).items():
        if not str(fields.get(key)).startswith(value):
            problems.append(f"{key} does not begin with {value}")
    problems += [f"no log line has '{text}'" for text in expect.get("logs", ()) if not any(text in one for one in logs)]
    return problems


def show_record(platform: Platform) -> None:
    say(f"\n{paint('one activation record', 1)}")
    say(json.dumps(platform.record(platform.last_id), indent=2))


def shorten(value: Any, *, text: bool = False) -> str:
    shown = value if text else json.dumps(value, ensure_ascii=False)
    return shown if len(shown) <= 100 else f"{shown[:80]}... ({len(shown)} characters)"


def paint(text: str, colour: int) -> str:
    return f"\033[{colour}m{text}\033[0m" if COLOUR else text


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
