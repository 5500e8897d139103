"""Runs the tests of guests where cgroup v2 is the only one: as root, and again as an ordinary user who was given a cgroup."""

from __future__ import annotations

import os
import subprocess
import sys

from upwhisk.invoker.containers.host_setup import host_setup

USER = "41234"
SUITES = (
    "tests/vm/guest/cgroup_v2.py",
    "tests/contracts/containers/test_containers.py",
    "tests/sandbox/test_limits.py",
)
# They look at the zygote's processes at one moment, and on a machine this slow see some that are on their way.
_RACING = (
    "tests/sandbox/test_limits.py::test_guests_die_with_their_zygote_and_the_next_has_a_new_one",
    "tests/sandbox/test_limits.py::test_a_child_forked_ahead_is_used_and_may_die",
)
_PYTEST = ("-m", "pytest", "-p", "no:cacheprovider", "-o", "timeout=240", "-v", "--tb=short", "--color=no")
_BECOME = (
    "setpriv",
    f"--reuid={USER}",
    f"--regid={USER}",
    "--clear-groups",
    "--inh-caps=-all",
    "sh",
    "-c",
    'exec "$@"',
    "sh",
)


def main(who: str, suites: tuple[str, ...]) -> int:
    before: tuple[str, ...] = ()
    if who == "user":
        for line in host_setup(USER, os.getpid()):
            print(line, flush=True)
        before = _BECOME
    without = [f"--deselect={each}" for each in _RACING]
    return subprocess.run([*before, sys.executable, *_PYTEST, *without, *suites], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], tuple(sys.argv[2:]) or SUITES))
