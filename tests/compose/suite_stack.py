"""The whole fleet in containers, from the files as they are: calls, logins, what guests reach, rolling restarts."""

from __future__ import annotations

import json
import os
import textwrap
import time
from collections.abc import Callable, Iterator

import pytest
from compose.callers import Api
from compose.files import BASE, is_one_shot, services
from compose.images import Images
from compose.stack import Stack
from fleet.load import Load

pytestmark = [pytest.mark.external_service, pytest.mark.slow, pytest.mark.timeout(900)]

HELLO = "def main(a):\n    return {'n': a.get('n', 0) + 1}"
REACH = textwrap.dedent("""
    import socket, urllib.error, urllib.request, os
    def main(a):
        found = {}
        for name, host, port in a["targets"]:
            try:
                socket.create_connection((host, port), 2).close()
                found[name] = "reached"
            except OSError as error:
                found[name] = type(error).__name__
        try:
            urllib.request.urlopen(os.environ["__OW_API_HOST"] + "/api/v1/namespaces/_/actions", timeout=5)
        except urllib.error.HTTPError as error:
            found["api"] = error.code
        return found
""")


@pytest.fixture(scope="module")
def stack(images: tuple[str, Images], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    made = Stack(tmp_path_factory.mktemp("stack"), images[0])
    try:
        made.up(BASE)
        yield made
    finally:
        made.down(BASE)


@pytest.fixture(scope="module")
def api(stack: Stack) -> Api:
    return Api(stack)


def test_every_service_is_healthy(stack: Stack) -> None:
    for name, service in services((BASE,)).items():
        state = stack.inspect(name)["State"]
        if is_one_shot(service):
            assert (state["Status"], state["ExitCode"]) == ("exited", 0), name
        else:
            assert (state["Status"], state["Health"]["Status"]) == ("running", "healthy"), name


def test_actions_run_and_are_recorded(api: Api) -> None:
    api.deploy("hello", HELLO)
    api.deploy("node", "function main() { return { version: process.version } }", "nodejs:20")
    assert api.invoke("hello", {"n": 1}) == (200, {"n": 2})
    status, answer = api.invoke("node")
    assert (status, answer["version"][:4]) == (200, "v20.")
    deadline = time.monotonic() + 20
    while len(api.call("GET", "/api/v1/namespaces/_/activations")[1]) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_both_controllers_and_both_nodes_take_part(stack: Stack, api: Api) -> None:
    api.deploy("hello", HELLO)
    for _ in range(10):
        assert api.invoke("hello")[0] == 200
    said = stack.docker("logs", stack.container("proxy"))
    assert "controllers/controller-1" in said
    assert "controllers/controller-2" in said
    status, health = api.call("GET", "/health")
    assert (status, health["components"]["nodes"]["detail"]) == (200, "2 of 2 healthy")


def test_nothing_answers_without_a_login(stack: Stack) -> None:
    """Asked from a container of nobody's on the services' own network."""
    code = textwrap.dedent("""
        import json, socket, urllib.error, urllib.request
        def status(url):
            try:
                return urllib.request.urlopen(url, timeout=5).status
            except urllib.error.HTTPError as error:
                return error.code
        def open(host, port):
            try:
                socket.create_connection((host, port), 3).close()
                return True
            except OSError:
                return False
        metadata = bytes.fromhex("00000013" "0003" "0001" "00000001" "0005") + b"probe" + b"\\xff\\xff\\xff\\xff"
        with socket.create_connection(("kafka", 9092), 5) as kafka:
            kafka.sendall(metadata)
            kafka.settimeout(5)
            try:
                answer = kafka.recv(64)
            except OSError:
                answer = b""
        print(json.dumps({
            "couchdb": status("http://couchdb:5984/_all_dbs"), "couchdb root": status("http://couchdb:5984/"),
            "consul": status("http://consul:8500/v1/agent/self"), "kafka": len(answer),
            "api": status("http://controller-1:3233/api/v1/namespaces"),
            "metrics": status("http://controller-1:3233/metrics"), "node": status("http://invoker-1:9300/metrics"),
            "closed": [open("kafka", 9093), open("kafka", 9094), open("consul", 8300), open("consul", 8301)],
        }))
    """)
    found = json.loads(stack.beside("data", code))
    assert found.pop("closed") == [False] * 4
    assert found == {
        "couchdb": 401, "couchdb root": 401, "consul": 403, "kafka": 0, "api": 401, "metrics": 403, "node": 403,
    }  # fmt: skip


def test_metrics_are_for_those_with_the_token(stack: Stack, api: Api) -> None:
    api.deploy("hello", HELLO)
    assert api.invoke("hello")[0] == 200
    code = textwrap.dedent(f"""
        import urllib.request
        for url in ("http://controller-1:3233/metrics", "http://invoker-1:9300/metrics", "http://invoker-2:9300/metrics"):
            request = urllib.request.Request(url, headers={{"Authorization": "Bearer {stack.secret('metrics-token')}"}})
            print(urllib.request.urlopen(request, timeout=5).read().decode())
    """)
    text = stack.beside("api", code)
    for name in ("upwhisk_nodes{", "upwhisk_permits_in_use{", "upwhisk_activations_total{", "upwhisk_service_up{"):
        assert name in text
    assert 'upwhisk_service_up{service="bus"} 0' not in text
    for path in ("/metrics", "/invokers", "/invokers/ready", "/activation/count"):
        assert api.call("GET", path)[0] == 404, "operators do not come in by the front door"


def test_no_secret_is_seen_from_outside_of_its_service(stack: Stack) -> None:
    secrets = {path.name: path.read_bytes() for path in (stack.folder / "private").iterdir()}
    texts = {name: value.decode() for name, value in secrets.items() if len(value) >= 30 and b"BEGIN" not in value and name != "fleet-key"}
    for service in services((BASE,)):
        shown = json.dumps(stack.inspect(service)) + stack.docker("logs", stack.container(service))
        if not is_one_shot(services((BASE,))[service]):
            shown += stack.docker("top", stack.container(service), "-eo", "pid,args")
        for name, value in texts.items():
            assert value not in shown, f"{name} in what is seen of {service}"


def test_processes_of_ours_are_not_root(stack: Stack) -> None:
    for service in ("controller-1", "controller-2"):
        assert stack.execute(service, "id", "-u").strip() == "10001"
    for service in ("couchdb", "kafka", "consul", "proxy"):
        users = {line.split()[0] for line in stack.docker("top", stack.container(service), "-eo", "uid,pid,args").splitlines()[1:] if "init" not in line}
        assert "0" not in users, service


def test_guests_reach_neither_services_nor_one_another(stack: Stack, api: Api) -> None:
    targets = []
    for service, port in (("couchdb", 5984), ("kafka", 9092), ("consul", 8500), ("controller-1", 3233), ("proxy", 3233), ("invoker-2", 9300)):
        networks = stack.inspect(service)["NetworkSettings"]["Networks"]
        targets += [(f"{service} {name}", network["IPAddress"], port) for name, network in networks.items()]
    gateway = stack.inspect("invoker-1")["NetworkSettings"]["Networks"][f"{stack.project}_guests"]["Gateway"]
    targets += [("gateway", gateway, 3233), ("itself", "127.0.0.1", 9300)]
    for network in ("outbound", "api"):
        api.deploy(f"reach-{network}", REACH, network=network)
        status, found = api.invoke(f"reach-{network}", {"targets": targets})
        assert status == 200, found
        assert found.pop("api") == 401, "the API is reached by its relay, which wants a login"
        assert "reached" not in found.values(), found
        assert len(found) == len(targets)


def test_the_operators_commands(stack: Stack) -> None:
    """docs/compose.md, "Operating"."""

    def operate(*words: str, options: tuple[str, ...] = ()) -> str:
        return stack.compose((BASE,), "run", "--rm", "--no-deps", *options, "init", *words, within_s=90)

    assert operate("node", "list").count(" up ") == 2
    operate("node", "drain", "invoker-1", "--reason", "new disk")
    _until(lambda: "draining" in operate("node", "list"), "no drain")
    operate("node", "undrain", "invoker-1")
    _until(lambda: operate("node", "list").count(" up ") == 2, "the drain stays")
    said = operate("admin", "user", "create", "alice", "--fleet")
    key = said.strip().splitlines()[-1]
    alice = Api(stack)
    alice._key = key
    assert alice.call("GET", "/api/v1/namespaces") == (200, ["alice"])
    backup = stack.folder / "backup"
    backup.mkdir()
    os.chown(backup, 10001, 10001)
    operate("admin", "backup", "/backup/monday", "--fleet", options=("--volume", f"{backup}:/backup"))
    assert "alice" in (backup / "monday").read_text()


def _until(condition: Callable[[], bool], what: str, deadline_s: float = 60.0) -> None:
    deadline = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def test_a_rolling_restart_fails_no_call(stack: Stack, api: Api) -> None:
    api.deploy("hello", HELLO)
    assert api.invoke("hello")[0] == 200
    with Load(api, "hello") as load:
        for service in ("controller-1", "controller-2", "invoker-1", "invoker-2"):
            load.wait_answered(100)
            stack.docker("stop", stack.container(service), within_s=90)
            load.wait_answered(50)
            stack.docker("start", stack.container(service))
            _wait_healthy(stack, service)
            load.wait_answered(50)
    assert load.failures == []


@pytest.mark.parametrize("service", ["kafka", "consul", "couchdb"])
def test_a_service_that_was_killed_is_used_again(stack: Stack, api: Api, service: str) -> None:
    api.deploy("hello", HELLO)
    stack.docker("kill", "--signal", "KILL", stack.container(service))
    stack.docker("start", stack.container(service))
    _wait_healthy(stack, service)
    deadline = time.monotonic() + 60
    while api.call("GET", "/health")[0] != 200:
        assert time.monotonic() < deadline, api.call("GET", "/health")
        time.sleep(0.2)
    assert api.invoke("hello")[0] == 200


def test_a_renewed_password_is_taken_over(stack: Stack, api: Api) -> None:
    """docs/compose.md, "Rotation"."""
    for name in ("kafka-controller", "couchdb-controller", "consul-controller"):
        (stack.folder / "private" / name).unlink()
    stack._run([stack.folder / "secrets"])
    stack.compose((BASE,), "up", "--detach", "--no-deps", "--force-recreate", "--no-build", "secrets", within_s=60)
    stack.docker("wait", stack.container("secrets"))
    stack.docker("restart", stack.container("kafka"), within_s=90)
    _wait_healthy(stack, "kafka")
    stack.docker("start", "--attach", stack.container("init"), within_s=90)
    for service in ("controller-1", "controller-2"):
        stack.docker("restart", stack.container(service), within_s=90)
        _wait_healthy(stack, service)
    api.deploy("hello", HELLO)
    assert api.invoke("hello")[0] == 200


def _wait_healthy(stack: Stack, service: str, deadline_s: float = 90.0) -> None:
    deadline = time.monotonic() + deadline_s
    while True:
        state = stack.inspect(service)["State"]
        if state["Status"] == "running" and state["Health"]["Status"] == "healthy":
            return
        assert time.monotonic() < deadline, stack._tail(stack.container(service))
        time.sleep(0.2)
