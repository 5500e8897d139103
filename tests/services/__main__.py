"""`scripts/services`: prepare the services, or run a command beside some of them."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from types import FrameType

from services.cache import cache_folder
from services.catalog import CATALOG, prepare, usual
from services.commands import have, kill_all
from services.errors import Unavailable
from services.running import start

APART = 'ip link set lo up && exec "$@"'


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    words = sys.argv[1:]
    command = words[words.index("--") + 1 :] if "--" in words else []
    options = _parser().parse_args(words[: words.index("--")] if "--" in words else words)
    try:
        match options.what:
            case "prepare":
                return _prepare(options.names)
            case "list":
                return _list()
            case "run":
                return _run(options.names, command)
            case _:
                return _apart(command)
    except Unavailable as error:
        print(f"services: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/services", description=__doc__)
    commands = parser.add_subparsers(dest="what", required=True)
    for what, text, count in (
        ("prepare", "fetch and build (all but compose without a name); quick when it is there", "*"),
        (
            "run",
            "start them, run COMMAND with their addresses in UPWHISK_TEST_*, stop them: run kafka -- COMMAND",
            "+",
        ),
    ):
        names = commands.add_parser(what, help=text)
        names.add_argument("names", nargs=count, metavar="NAME", help=", ".join(CATALOG))
    commands.add_parser("list", help="the services, and where what was built is kept")
    commands.add_parser(
        "apart", help="run COMMAND in a network namespace of its own (root): apart -- COMMAND"
    )
    return parser


def _prepare(names: list[str]) -> int:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _abandon)
    failures = prepare(_known(names) or usual(), lambda text: print(text, flush=True))
    for failure in failures:
        print(f"services: {failure}", file=sys.stderr)
    return 1 if failures else 0


def _abandon(number: int, _: FrameType | None) -> None:
    """Threads wait for their commands, so those end first; what is half made is not taken for whole next time."""
    kill_all()
    os._exit(128 + number)


def _list() -> int:
    for name, entry in CATALOG.items():
        print(f"{name:10} {entry.title}")
    print(f"kept in {cache_folder()}")
    return 0


def _run(names: list[str], command: list[str]) -> int:
    _given(command)
    with ExitStack() as stack:
        environment: dict[str, str] = {}
        for name in _known(names):
            environment |= start(name, stack)
        return subprocess.call(command, env={**os.environ, **environment})


def _apart(command: list[str]) -> int:
    if os.geteuid() != 0:
        raise Unavailable("a network namespace is made by root only")
    argv = [have("unshare"), "--net", "--", "/bin/sh", "-c", APART, "sh", *_given(command)]
    os.execv(argv[0], argv)


def _known(names: list[str]) -> list[str]:
    if unknown := [name for name in names if name not in CATALOG]:
        raise Unavailable(f"no service '{unknown[0]}'; there are {', '.join(CATALOG)}")
    return names


def _given(command: list[str]) -> list[str]:
    if not command:
        raise Unavailable("a command after '--' is missing")
    return command


if __name__ == "__main__":
    sys.exit(main())
