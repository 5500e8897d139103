"""The proxies as they run in a container image: on a TCP port."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import time
from pathlib import Path

from contracts.runtimes.guest import TIMEOUT_S
from contracts.runtimes.test_junk import CODE

from upwhisk.common.spi.containers import SENTINEL
from upwhisk.runtimes.installation import RuntimeInstallation


def test_a_port_is_served(any_kind: RuntimeInstallation, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    command = [*any_kind.argv[: any_kind.argv.index("--fd")], "--port", str(port), "--host", "127.0.0.1"]
    environment = {"TMPDIR": str(tmp_path), "PATH": "/usr/bin:/bin"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=tmp_path, env=environment) as process:
        try:
            wait_until_it_listens(port)
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
            assert (
                post(connection, "/init", {"value": {"main": "main", "code": CODE[any_kind.family]}})[0]
                == 200
            )
            for value in ({"a": "❄"}, {"b": "x" * 300_000}):
                assert post(connection, "/run", {"value": value}) == (200, value)
            connection.close()
        finally:
            process.kill()
        assert process.stdout is not None
        assert process.stdout.read().decode().count(SENTINEL) == 2


def wait_until_it_listens(port: int) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < deadline


def post(connection: http.client.HTTPConnection, path: str, body: object) -> tuple[int, object]:
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())
