"""What a service manager is told of a platform that it starts (sd_notify(3)), and what operators see of its work."""

from __future__ import annotations

import itertools
import os
import re
import socket
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fakes.running import Running

Platforms = Callable[..., Running]
pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(120)]


class Manager:
    """Listens as a service manager does; `said` are the texts in order, each with its monotonic second."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.said: list[tuple[float, str]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while text := self._socket.recv(4096).decode():
            self.said.append((time.monotonic(), text))

    def texts(self) -> list[str]:
        return [text for _, text in self.said]

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", str(self.path))
        self._thread.join(5)
        self._socket.close()


@pytest.fixture
def manager() -> Iterator[Manager]:
    with tempfile.TemporaryDirectory(prefix="uw-notify-") as folder:
        listening = Manager(Path(folder) / "socket")
        yield listening
        listening.close()


def _until(condition: Callable[[], bool], what: str, deadline_s: float = 10.0) -> None:
    deadline = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def test_a_service_manager_hears_ready_alive_and_stopping(platforms: Platforms, manager: Manager) -> None:
    began = time.monotonic()
    environment = {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "400000"}
    platform = platforms("data", environment).start()
    _until(lambda: "READY=1" in manager.texts(), "not ready")
    assert platform.call("GET", "//ping") == (200, "pong")
    _until(lambda: manager.texts().count("WATCHDOG=1") >= 5, "the watchdog starves")
    assert platform.stop() == 0
    texts = manager.texts()
    assert texts.count("READY=1") == 1
    assert texts.count("STOPPING=1") == 1
    assert texts.index("READY=1") < texts.index("STOPPING=1")
    fed = [at for at, text in manager.said if text == "WATCHDOG=1"]
    gaps = [after - before for before, after in itertools.pairwise(fed)]
    assert sorted(gaps)[len(gaps) // 2] < 0.4, "half of the interval is the pace"
    assert fed[0] > began


def test_a_process_without_a_manager_tells_nobody(platforms: Platforms, tmp_path: Path) -> None:
    platform = platforms("data", {"NOTIFY_SOCKET": str(tmp_path / "nobody")}).start()
    assert platform.stop() == 0
    assert "the service manager was not told" in platform.log.read_text()


def test_a_strict_umask_does_not_close_the_root_to_guests(platforms: Platforms) -> None:
    before = os.umask(0o077)
    try:
        platform = platforms().start()
    finally:
        os.umask(before)
    code = {"python:default": "import os\ndef main(a):\n    return {'there': os.path.isdir('/usr/bin')}",
            "nodejs:20": "function main() { return { there: require('fs').existsSync('/usr/bin') } }"}  # fmt: skip
    for kind, text in code.items():
        name = kind.partition(":")[0]
        platform.deploy(name, text, kind)
        status, answer = platform.invoke(name, query="blocking=true&result=true")
        assert (status, answer) == (200, {"there": True})
    assert platform.stop() == 0


def test_operators_see_what_ran(standalone: Running) -> None:
    standalone.deploy("counted", "def main(a):\n    return {} if a.get('ok') else 1 / 0")
    for ok in (True, True, False):
        standalone.invoke("counted", {"ok": ok})
    with urllib.request.urlopen(f"{standalone.url}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    counts = {
        (status, start): float(count)
        for start, status, count in re.findall(
            r'^upwhisk_activations_total\{start="([^"]+)",status="([^"]+)"\} (\S+)$', text, re.MULTILINE
        )
    }
    assert sum(counts.values()) == 3
    assert sum(count for (status, _), count in counts.items() if status == "success") == 2
    assert counts["success", "warm"] >= 1
    assert 'upwhisk_activation_phase_seconds_count{phase="run"} 3.0' in text
    assert 'upwhisk_service_up{service="store"} 1.0' in text
    assert re.search(r'^upwhisk_permits_in_use\{node="0"\} 0\.0$', text, re.MULTILINE)
    assert "process_resident_memory_bytes" in text
