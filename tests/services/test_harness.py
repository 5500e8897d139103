"""The harness itself: what it keeps, what it says when something is missing, and that it leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import pytest
from services import cache
from services.asking import ask
from services.commands import run
from services.couchdb import PouchDB
from services.errors import Unavailable
from services.fixtures import FIXTURES, started
from services.processes import naming
from services.service import Service
from services.waiting import until

ROOT = Path(__file__).resolve().parents[2]
WITHIN_S = 20.0


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("UPWHISK_TEST_CACHE", str(tmp_path))
    return tmp_path


def test_two_that_want_the_same_make_it_once(folder: Path) -> None:
    made = []
    both = threading.Barrier(2)

    def make(target: Path) -> None:
        made.append(target)
        (target / "file").write_text("whole")

    def want(_: int) -> Path:
        both.wait(WITHIN_S)
        return cache.kept("thing", "1", make)

    with ThreadPoolExecutor(2) as pool:
        found = set(pool.map(want, range(2)))
    assert found == {folder / "thing-1"}
    assert made == [folder / "thing-1.tmp"]
    assert (folder / "thing-1/file").read_text() == "whole"


def test_what_was_not_made_whole_is_made_again(folder: Path) -> None:
    def half(target: Path) -> None:
        (target / "half").touch()
        raise Unavailable("no network")

    with pytest.raises(Unavailable):
        cache.kept("thing", "1", half)
    assert not cache.place("thing", "1").exists()
    made = cache.kept("thing", "1", lambda target: (target / "file").touch())
    assert [file.name for file in made.iterdir()] == ["file"]


def test_a_lock_is_waited_for_until_a_deadline(folder: Path) -> None:
    with (
        cache.locked("thing"),
        pytest.raises(Unavailable, match=r"thing\.lock for 0 s"),
        cache.locked("thing", 0.0),
    ):
        raise AssertionError("held twice")


def test_a_key_depends_on_every_file(tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("a")
    first = cache.digest(tmp_path, "go 1")
    (tmp_path / "go.sum").write_text("")
    assert len({first, cache.digest(tmp_path, "go 1"), cache.digest(tmp_path, "go 2")}) == 3


def test_a_failed_command_is_tried_again_and_tells_what_it_printed(tmp_path: Path) -> None:
    script = f"echo tried >>{tmp_path}/tries; echo no network; exit 3"
    with pytest.raises(Unavailable, match=r"status 3:\nno network"):
        run("sh", "-c", script, within_s=WITHIN_S, tries=2)
    assert (tmp_path / "tries").read_text() == "tried\ntried\n"


def test_a_command_that_hangs_ends_with_its_children(tmp_path: Path) -> None:
    marked = tmp_path / "hangs"
    marked.symlink_to("/bin/sleep")
    with pytest.raises(Unavailable, match="has not ended"):
        run("sh", "-c", f"{marked} 1000 & wait", within_s=0.3)
    assert until(lambda: naming(marked) == [], WITHIN_S)


class Scripted(Service):
    """A shell script that ends, or whose file `ready` says that it serves."""

    name: ClassVar[str] = "scripted"

    def __init__(self, script: str) -> None:
        super().__init__()
        self.script = script
        self.tried: list[list[int]] = []

    def _configure(self, folder: Path) -> None:
        self.tried.append(self.ports)

    def _command(self, folder: Path) -> list[str]:
        return ["sh", "-c", self.script]

    def _ready(self) -> bool:
        return (self.folder / "ready").exists()


def test_a_service_that_does_not_start_shows_the_end_of_its_log() -> None:
    service = Scripted("echo no such option; exit 7")
    with pytest.raises(Unavailable, match=r"(?s)scripted ended with status 7.*no such option"):
        service.start()
    assert len(service.tried) == 1
    assert not service.running


def test_a_port_that_was_taken_meanwhile_is_replaced() -> None:
    again = 'if [ -e seen ]; then touch ready; exec sleep 1000; fi; touch seen; echo "Address already in use"; exit 1'
    with Scripted(again) as service:
        first, second = service.tried
        assert first != second


def test_one_that_ignores_sigterm_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    with Scripted("trap '' TERM; touch ready; while :; do sleep 0.1; done") as service:
        service.terminate(0.2)
        assert not service.running


def test_a_service_dies_with_the_tests_that_started_it() -> None:
    script = (
        "from services.test_harness import Scripted\n"
        "service = Scripted('touch ready; exec sleep 1000').start()\n"
        "print(service.pid, service.folder, flush=True)\n"
        "input()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    command = [sys.executable, "-c", script]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=environment, text=True, **pipes) as tests:  # type: ignore[call-overload]
        first, folder = tests.stdout.readline().split()
        pid = int(first)
        assert Path(f"/proc/{pid}").exists()
        tests.kill()
        tests.wait(WITHIN_S)
        assert until(lambda: not alive(pid), WITHIN_S)
    shutil.rmtree(folder)  # the only thing that a killed run leaves


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@pytest.mark.external_service
def test_a_paused_service_answers_nothing_until_it_is_resumed() -> None:
    with started(PouchDB) as couchdb:
        couchdb.pause()
        assert ask(couchdb.address, within_s=0.3) == (0, None)
        couchdb.resume()
        assert ask(couchdb.address)[0] == 200
        couchdb.pause()  # `stop` wakes it


TESTS = """
import pytest
pytest_plugins = ["services.fixtures"]

@pytest.mark.parametrize("fixture", {fixtures})
@pytest.mark.external_service
def test_that_asks_later(fixture, request):
    request.getfixturevalue(fixture)

def test_that_names_it(kafka):
    pass

def test_without_any():
    pass
"""


@pytest.mark.parametrize(
    ("ci", "outcome"), [("true", "5 failed, 1 deselected, 1 error"), ("", "6 skipped, 1 deselected")]
)
def test_missing_services_fail_in_ci_and_skip_elsewhere(tmp_path: Path, ci: str, outcome: str) -> None:
    """With an empty cache; Docker is missing because the engine that is named does not answer."""
    (tmp_path / "test_it.py").write_text(TESTS.format(fixtures=sorted(FIXTURES)))
    environment = {
        **os.environ,
        "CI": ci,
        "UPWHISK_TEST_CACHE": str(tmp_path / "cache"),
        "UPWHISK_TEST_DOCKER": f"unix://{tmp_path}/nobody",
        "UPWHISK_TEST_COUCHDB": "",
        "PYTHONPATH": str(ROOT / "tests"),
    }
    options = [
        "-q",
        "-rA",
        "-m",
        "external_service",
        "-o",
        "markers=external_service",
        "-p",
        "no:cacheprovider",
    ]
    command = [sys.executable, "-m", "pytest", *options, "--rootdir", str(tmp_path), str(tmp_path)]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    output = done.stdout
    assert outcome in output, output
    assert "run scripts/services prepare kafka" in output


@pytest.mark.external_service
def test_a_command_runs_beside_services() -> None:
    with started(PouchDB):
        pass  # it is there, or the test ends here with the reason
    script = 'curl -fsS "$UPWHISK_TEST_COUCHDB/_all_dbs" && exit 9'
    command = [str(ROOT / "scripts/services"), "run", "couchdb", "--", "sh", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()[:1]) == (9, "["), done.stderr


@pytest.mark.parametrize(
    ("words", "text"),
    [(("run", "redis", "--", "true"), "no service 'redis'"), (("run", "kafka"), "after '--'")],
)
def test_a_wrong_command_is_refused(words: tuple[str, ...], text: str) -> None:
    done = subprocess.run([ROOT / "scripts/services", *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert text in done.stderr


def test_preparing_stops_at_once_when_told(tmp_path: Path) -> None:
    """A program in place of npm that hangs; nothing of it stays."""
    hangs = tmp_path / "npm"
    hangs.write_text(f"#!/bin/sh\ntouch {tmp_path}/began\nsleep 1000\n")
    hangs.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "UPWHISK_TEST_CACHE": str(tmp_path / "cache"),
    }
    with subprocess.Popen([ROOT / "scripts/services", "prepare", "couchdb"], env=environment) as preparing:
        assert until((tmp_path / "began").exists, WITHIN_S)
        preparing.send_signal(signal.SIGTERM)
        assert preparing.wait(WITHIN_S) == 128 + signal.SIGTERM
    assert until(lambda: naming(hangs) == [], WITHIN_S)
