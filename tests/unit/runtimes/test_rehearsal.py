"""What a waiting guest does ahead."""

from __future__ import annotations

import os
import socket
import sys
import threading
from pathlib import Path

import pytest

from upwhisk.runtimes.proxy.upwhisk_guest.blocking import BlockingServer
from upwhisk.runtimes.proxy.upwhisk_guest.http1 import Request
from upwhisk.runtimes.proxy.upwhisk_guest.rehearsal import rehearse


def test_a_rehearsal_leaves_no_traces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    rehearse()  # what it imports stays: that is what it is for
    before = (dict(os.environ), list(sys.path), set(sys.modules), os.getcwd(), sorted(os.listdir("/dev/fd/")))
    rehearse()
    assert (dict(os.environ), list(sys.path), set(sys.modules), os.getcwd(), sorted(os.listdir("/dev/fd/"))) == before
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("waits", [True, False])
def test_only_a_server_that_nobody_calls_at_first_is_idle(waits: bool, tmp_path: Path) -> None:
    idle = threading.Event()
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(str(tmp_path / "s"))
        listener.listen()

        def answer(_: Request) -> tuple[int, bytes]:
            server.stop()
            return 200, b"{}"

        server = BlockingServer(listener, answer, idle.set)

        def serve() -> None:
            for connection in server.serve():
                connection.socket.close()

        thread = threading.Thread(target=serve)
        if waits:
            thread.start()
            assert idle.wait(10)
        client.settimeout(10)
        client.connect(str(tmp_path / "s"))
        client.sendall(b"POST /run HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")
        if not waits:
            thread.start()
        assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
        thread.join(10)
    assert idle.is_set() is waits
