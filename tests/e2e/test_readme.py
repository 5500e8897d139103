"""The README's tutorial does what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fakes.running import Running

pytestmark = pytest.mark.sandbox
README = Path(__file__).resolve().parents[2] / "README.md"
CHANGING = (
    (r"\b[0-9a-f]{32}\b", "ID"),
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "STAMP"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "STAMP"),
    (r"python:3\.\d+", "PYTHON"),
    (r"\b[\d.]+m?s\b +", "TIME "),
    (r"\b(warm|cold)\b +", "START "),
)
STARTED = (
    (r"127\.0\.0\.1:\d+", "HOST"),
    (r"\([\d.]+ s\)", "TIME"),
    (r"network: (outbound|api)\b", "network: SOME"),
    (r"[0-9a-f-]{36}:\S+", "KEY"),
    (r"=/\S+/data/", "=FOLDER/"),
)


def steps() -> list[tuple[str, str]]:
    """(command, output) of the tutorial."""
    block = README.read_text().split("```console\n")[1].split("```")[0]
    parts = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    return [(command, output) for command, _, output in (part.partition("\n") for part in parts)]


def same(text: str) -> str:
    for pattern, name in CHANGING:
        text = re.sub(pattern, name, text)
    return text


def started(text: str) -> list[str]:
    """What the start of a platform prints, without what is another's each time; notes are of the machine."""
    lines = text[text.index("upwhisk is ready at ") :].splitlines()
    said = "\n".join(line for line in lines if line.startswith(("upwhisk is ready", "  key ", "  use ")))
    for pattern, name in STARTED:
        said = re.sub(pattern, name, said)
    return said.splitlines()


def test_what_the_start_prints(tmp_path: Path) -> None:
    command, output = steps()[0]
    assert command.startswith("upwhisk standalone --data ./data")
    running = Running(tmp_path / "data").start()
    try:
        assert started(running.log.read_text()) == started(output)
    finally:
        running.stop()


def test_the_tutorial(standalone: Running, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "WSK_CONFIG_FILE": str(standalone.data / ".wskprops"),
    }
    tried = steps()
    assert len(tried) >= 10
    for command, output in tried:
        if command.startswith(("upwhisk standalone", "export ")):
            continue
        deadline = time.monotonic() + 10
        while True:  # what a fire starts needs a moment
            done = subprocess.run(
                ["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=30
            )
            assert done.returncode == 0, (command, done.stderr)
            if same(done.stdout) == same(output) or time.monotonic() > deadline or " activation " not in command:
                break
        assert same(done.stdout) == same(output), command
