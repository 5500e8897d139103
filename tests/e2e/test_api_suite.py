"""The API suite, unchanged, against a real platform: one suite, two targets."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from fakes.running import Running

pytestmark = pytest.mark.sandbox
ROOT = Path(__file__).resolve().parents[2]


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
    environment = {
        **os.environ,
        "UPWHISK_TEST_URL": standalone.url,
        "UPWHISK_TEST_AUTH": standalone.key,
        "UPWHISK_TEST_OTHER_AUTH": other.strip(),
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "tests/api", "-q", "-x", "--no-header", "-p", "no:cacheprovider"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    assert " passed" in done.stdout


