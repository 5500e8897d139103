"""The API suite, unchanged, against a real platform: one suite, two targets."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path

import pytest
from api.elsewhere import run_api_suite
from fakes.running import Running

pytestmark = pytest.mark.sandbox


def admin(data: Path, command: str, **arguments: object) -> tuple[str, int]:
    """One operator's command through the platform's own socket."""
    connection = http.client.HTTPConnection("admin")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(10)
    connection.sock.connect(str(data / "admin.sock"))
    connection.request("POST", "/", json.dumps({"command": command, "arguments": arguments}))
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return answer["text"], answer["code"]


@pytest.mark.timeout(300)
def test_the_api_suite(standalone: Running) -> None:
    other, code = admin(standalone.data, "user create", subject="other")
    assert code == 0, other
    run_api_suite(standalone.url, standalone.key, other.strip())
