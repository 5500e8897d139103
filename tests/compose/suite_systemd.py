"""The units on a real systemd, which is the first process of a container beside a stack's services."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from compose.files import BASE, ROOT
from compose.images import Images
from compose.stack import Stack
from services.errors import Unavailable

pytestmark = [pytest.mark.external_service, pytest.mark.slow, pytest.mark.timeout(900)]

NAME = "upwhisk-machine"
_NEEDS = ("--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN", "--cgroupns", "private", "--env", "container=docker")
_OPEN = [word for option in ("seccomp", "apparmor", "systempaths") for word in ("--security-opt", f"{option}=unconfined")]
_TMP = ("--tmpfs", "/run:exec", "--tmpfs", "/tmp:exec")
HELLO = "def main(a):\n    return {'n': 1}\n"
NODE = "function main() { return { n: 2 } }\n"


@dataclass(frozen=True)
class Machine:
    stack: Stack

    def run(self, *words: str, within_s: float = 90.0) -> str:
        return self.stack.docker("exec", NAME, *words, within_s=within_s)

    def write(self, path: str, text: str) -> None:
        self.run("sh", "-c", 'mkdir -p "$(dirname "$0")" && printf %s "$1" >"$0" && chmod 0600 "$0"', path, text)

    def state(self, unit: str) -> dict[str, str]:
        said = self.run("systemctl", "show", unit, "-p", "ActiveState,NRestarts,Result,WatchdogTimestampMonotonic,MainPID")
        return dict(line.split("=", 1) for line in said.splitlines())

    def log(self, unit: str) -> str:
        return self.run("journalctl", "--no-pager", "-u", unit)


@pytest.fixture(scope="module")
def machine(images: tuple[str, Images], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    stack = Stack(tmp_path_factory.mktemp("systemd"), images[0], "upwhisk-systemd")
    image = images[1].systemd()
    try:
        stack.up(BASE)
        network = f"{stack.project}_data"
        stack.docker("run", "--detach", "--name", NAME, "--network", network, *_NEEDS, *_OPEN, *_TMP, image)
        made = Machine(stack)
        _until(lambda: _is_up(made), "systemd is not up")
        yield made
    finally:
        stack.docker("rm", "--force", NAME)
        stack.down(BASE)


def _is_up(machine: Machine) -> bool:
    try:
        return "basic.target" in machine.run("systemctl", "list-units", "--state=active", "--type=target")
    except Unavailable:
        return False


def _until(condition: object, what: str, deadline_s: float = 60.0) -> None:
    assert callable(condition)
    deadline = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def _start(machine: Machine, unit: str) -> None:
    try:
        machine.run("systemctl", "start", unit)
    except Unavailable as error:
        raise AssertionError(f"{error}\n{machine.log(unit)}") from None


def _stop(machine: Machine, unit: str) -> None:
    machine.run("systemctl", "stop", unit)
    state = machine.state(unit)
    assert (state["ActiveState"], state["Result"], state["NRestarts"]) == ("inactive", "success", "0"), machine.log(unit)


def test_standalone_runs_guests_is_watched_and_stops(machine: Machine) -> None:
    unit = "upwhisk-standalone"
    _start(machine, unit)
    assert machine.state(unit)["ActiveState"] == "active", "READY=1 was said"
    machine.write("/tmp/hello.py", HELLO)
    machine.write("/tmp/node.js", NODE)
    upwhisk = ("env", "WSK_CONFIG_FILE=/var/lib/upwhisk/.wskprops", "/opt/upwhisk/bin/upwhisk")
    for name, file, answer in (("hello", "hello.py", '"n": 1'), ("node", "node.js", '"n": 2')):
        machine.run(*upwhisk, "action", "create", name, f"/tmp/{file}")
        assert answer in machine.run(*upwhisk, "action", "invoke", name, "--result")
    before = machine.state(unit)["WatchdogTimestampMonotonic"]
    _until(lambda: machine.state(unit)["WatchdogTimestampMonotonic"] != before, "the watchdog is not fed", 40.0)
    _stop(machine, unit)
    assert "Stopping" in machine.log(unit)
    assert machine.run("sh", "-c", "ls /sys/fs/cgroup/memory | grep -c ^upwhisk- || true").strip() == "0"


def test_a_process_that_hangs_is_started_again(machine: Machine) -> None:
    unit = "upwhisk-standalone"
    machine.run("sh", "-c", "mkdir -p /run/systemd/system/upwhisk-standalone.service.d && printf '[Service]\\nWatchdogSec=2\\n' "
                ">/run/systemd/system/upwhisk-standalone.service.d/quick.conf && systemctl daemon-reload")  # fmt: skip
    _start(machine, unit)
    before = machine.state(unit)["MainPID"]
    machine.run("kill", "-STOP", before)
    _until(lambda: machine.state(unit)["NRestarts"] == "1" and machine.state(unit)["ActiveState"] == "active", "not restarted")
    assert machine.state(unit)["MainPID"] != before
    machine.run("systemctl", "stop", unit)


@pytest.mark.parametrize(("unit", "role"), [("upwhisk-controller", "controller"), ("upwhisk-invoker", "invoker")])
def test_a_process_of_a_fleet_runs_with_credentials(machine: Machine, unit: str, role: str) -> None:
    settings = (ROOT / f"compose/systemd/{role}.toml").read_text()
    for there, here in (
        ("https://couchdb.example.org:6984", "http://couchdb:5984"),
        ("kafka.example.org", "kafka"),
        ("sasl_ssl", "sasl_plaintext"),
        ("https://consul.example.org:8501", "http://consul:8500"),
        ("https://faas.example.org", "http://127.0.0.1:3233"),
    ):
        settings = settings.replace(there, here)
    machine.write(f"/etc/upwhisk/{role}.toml", settings)
    machine.run("chmod", "0644", f"/etc/upwhisk/{role}.toml")
    for name, secret in (
        ("couchdb-password", f"couchdb-{role}"),
        ("kafka-password", f"kafka-{role}"),
        ("consul-token", f"consul-{role}"),
    ):
        machine.write(f"/etc/upwhisk/secrets/{name}", machine.stack.secret(secret))
    fleet_key = machine.stack.folder / "private/fleet-key"
    machine.stack.docker("cp", str(fleet_key), f"{NAME}:/etc/upwhisk/secrets/fleet-key")
    _start(machine, unit)
    pid = machine.state(unit)["MainPID"]
    uid = machine.run("stat", "-c", "%u", f"/proc/{pid}").strip()
    assert (uid == "0") is (role == "invoker")
    nodes = machine.stack.compose((BASE,), "run", "--rm", "--no-deps", "init", "node", "list", within_s=90)
    assert nodes.count("up") >= (3 if role == "invoker" else 2)
    _stop(machine, unit)
