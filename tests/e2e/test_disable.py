"""`POST /disable`: an operator takes a controller out, without a loss."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes.running import Running
from services.waiting import until

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(120)]

TOKEN = "t" * 32
WAITS = "import time\ndef main(a):\n    time.sleep(2)\n    return {'ok': True}"
WRONG = (401, "username or password are wrong.")


def in_flight(platform: Running) -> int:
    with urllib.request.urlopen(f"{platform.url}/activation/count") as answer:
        return int(json.load(answer))


def test_without_a_token_nobody_disables(standalone: Running) -> None:
    status, said = standalone.call("POST", "//disable", key=f"operator:{TOKEN}")
    assert (status, "server.disable_token_file" in said) == (403, True)
    assert standalone.call("GET", "/_/actions")[0] == 200


def test_a_disabled_controller_refuses_and_finishes_what_it_has(
    platforms: Callable[..., Running], tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(TOKEN)
    platform = platforms(environment={"UPWHISK_SERVER_DISABLE_TOKEN_FILE": str(tmp_path / "token")}).start()
    platform.deploy("waits", WAITS)
    answers: list[tuple[int, Any]] = []
    call = threading.Thread(target=lambda: answers.append(platform.invoke("waits")))
    call.start()
    assert until(lambda: in_flight(platform) == 1, 10)
    for login in (f"operator:{TOKEN}x", f"other:{TOKEN}", platform.key, "operator", ":"):
        assert platform.call("POST", "//disable", key=login) == WRONG
    assert platform.call("POST", "//disable", key=f"operator:{TOKEN}") == (200, "controller is disabled")
    assert platform.invoke("waits")[0] == 503
    status, health = platform.call("GET", "//health")
    assert (status, health["components"]["api"]["detail"]) == (503, "controller is disabled")
    call.join(30)
    assert [(status, answer["response"]["result"]) for status, answer in answers] == [(200, {"ok": True})]
    assert platform.stop() == 0
    platform.start()
    assert platform.call("GET", "/_/actions")[0] == 200
    assert platform.stop() == 0
