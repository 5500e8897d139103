"""Wall time of simple commands of the CLI, each a process of its own."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from report import Bar, finish, percentiles, table
from subject import BenchmarkError, Subject

_RUNS = 20
_COMMANDS: tuple[tuple[str, ...], ...] = (
    ("--help",),
    ("--version",),
    ("action", "list"),
    ("action", "get", "hello"),
    ("action", "invoke", "hello", "--result"),
    ("activation", "list"),
    ("property", "get"),
    ("namespace", "list"),
)
_BARE = "python -c 0"


def main() -> int:
    program = Path(sys.executable).with_name("upwhisk")
    if not program.exists():
        raise BenchmarkError(f"{program} is missing: run it with the Python of an environment in which the project is installed")
    times: dict[str, list[float]] = {}
    with Subject() as platform:
        platform.deploy("hello", "def main(args):\n    return {'greeting': 'Hello'}\n")
        platform.invoke("hello")
        environment = {**os.environ, "WSK_CONFIG_FILE": str(platform.data / ".wskprops")}
        for number in range(_RUNS + 1):
            for command in _COMMANDS:
                took = _run([str(program), *command], environment)
                if number:  # the first time reads the files of the modules from disk
                    times.setdefault("upwhisk " + " ".join(command), []).append(took)
            took = _run([sys.executable, "-c", "0"], environment)
            times.setdefault(_BARE, []).append(took)
    found = {name: percentiles(values) for name, values in times.items()}
    print(table(["command", "runs", "p50 ms", "p90 ms", "max ms"],
                [[name, int(f["n"]), f["p50"], f["p90"], f["max"]] for name, f in found.items()]))  # fmt: skip
    worst = max(f["p50"] for name, f in found.items() if name != _BARE)
    bars = [Bar("upwhisk --help, p50", found["upwhisk --help"]["p50"], 150, "ms"),
            Bar("the slowest of these, p50", worst, 150, "ms")]  # fmt: skip
    return finish("cli", {"ms": found}, bars)


def _run(command: list[str], environment: dict[str, str]) -> float:
    silence = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    began = time.perf_counter()
    pid = os.posix_spawn(command[0], command, environment, file_actions=silence)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    took = (time.perf_counter() - began) * 1000
    if status != 0:
        raise BenchmarkError(f"{' '.join(command)} ended with {status}")
    return took


if __name__ == "__main__":
    sys.exit(main())
