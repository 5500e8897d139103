"""A fleet in containers, started from a copy of compose/ by the tool itself, in this process's network namespace."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from compose.files import COMPOSE
from services.commands import have
from services.compose_tool import tool
from services.errors import Unavailable

UP_S = 400.0
DOWN_S = 200.0
COMMAND_S = 60.0


class Stack:
    """`folder` is where the copy is made, with secrets and certificates of its own. `host`: the engine's address."""

    def __init__(self, folder: Path, host: str, project: str = "upwhisk-test") -> None:
        self.folder = folder / "compose"
        self.project = project
        self._host = host
        shutil.copytree(COMPOSE, self.folder, ignore=shutil.ignore_patterns("private"))
        self._run([self.folder / "secrets"])
        self._run([self.folder / "certificates"])

    def secret(self, name: str) -> str:
        return (self.folder / "private" / name).read_text()

    def up(self, *files: str, profiles: tuple[str, ...] = ()) -> None:
        """All services, in these files' setting; returns when they are healthy."""
        words = [word for profile in profiles for word in ("--profile", profile)]
        self.compose(files, *words, "up", "--detach", "--wait", "--no-build", within_s=UP_S)

    def down(self, *files: str) -> None:
        """Everything goes, volumes too."""
        self.compose(files, "down", "--volumes", "--timeout", "10", "--remove-orphans", within_s=DOWN_S)

    def compose(self, files: tuple[str, ...], *words: str, within_s: float = COMMAND_S) -> str:
        named = [word for file in files for word in ("--file", file)]
        return self._run([tool(), "--project-name", self.project, *named, *words], within_s=within_s)

    def docker(self, *words: str, within_s: float = COMMAND_S) -> str:
        return self._run([have("docker"), *words], within_s=within_s)

    def container(self, service: str) -> str:
        return f"{self.project}-{service}-1"

    def execute(self, service: str, *words: str) -> str:
        return self.docker("exec", self.container(service), *words)

    def inspect(self, service: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.docker("inspect", self.container(service)))[0]
        return found

    def beside(self, network: str, code: str) -> str:
        """Output of a Python program in a container of nobody's, on one of the stack's networks."""
        words = ("--rm", "--network", f"{self.project}_{network}", "--entrypoint", "python3", "upwhisk-compose/base", "-c", code)
        return self.docker("run", *words)

    def _run(self, command: list[str | Path], within_s: float = COMMAND_S) -> str:
        environment = {**os.environ, "DOCKER_HOST": self._host}
        words = [str(word) for word in command]
        done = subprocess.run(
            words, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=within_s, check=False
        )
        if done.returncode != 0:
            raise Unavailable(f"'{' '.join(words)[:200]}' ended with {done.returncode}:\n{done.stdout}{done.stderr}{self._why()}")
        return done.stdout

    def _why(self) -> str:
        """The end of each container's log."""
        names = subprocess.run(
            [have("docker"), "ps", "--all", "--format", "{{.Names}}", "--filter", f"name={self.project}"],
            env={**os.environ, "DOCKER_HOST": self._host},
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        ).stdout.split()
        return "".join(f"\n== {name}\n{self._tail(name)}" for name in names)

    def _tail(self, name: str) -> str:
        done = subprocess.run(
            [have("docker"), "logs", "--tail", "15", name],
            env={**os.environ, "DOCKER_HOST": self._host},
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
        return done.stdout + done.stderr
