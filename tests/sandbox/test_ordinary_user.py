"""The same tests again, run by an ordinary user with a delegated cgroup; and what one without is told."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from sandbox.guests import short_folder

from upwhisk.invoker.containers.host_setup import host_setup

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can become an ordinary user"),
]

USER = "41234"
# setpriv still has root's rights when it looks up the program: the second exec has not
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
_ROOT = Path(__file__).resolve().parents[2]
_PACKAGES = (
    "pytest",
    "pytest-asyncio",
    "pytest-timeout",
    "structlog",
    "pluggy",
    "iniconfig",
    "packaging",
    "pygments",
    "msgspec",
    "pyseccomp",
    "typing_extensions",
)
_OWN = "not external_service"  # an engine is another matter, see the last test
_SUITES = (
    "tests/sandbox/test_isolation.py",
    "tests/sandbox/test_limits.py",
    "tests/sandbox/test_network.py",
    "tests/contracts/containers",
)


def _interpreter() -> str | None:
    """One of this version that everybody may run: our own may lie in a closed folder."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (
        os.path.realpath(sys.executable),
        f"/usr/bin/python{version}",
        f"/usr/local/bin/python{version}",
    ):
        done = subprocess.run(
            [*_BECOME, candidate, "-I", "-c", "import ctypes"],
            capture_output=True,
            check=False,
        )
        if done.returncode == 0:
            return candidate
    return None


@pytest.fixture
def place() -> Iterator[Path]:
    """A world-readable copy of the code, the tests and what they import."""
    with short_folder() as folder:
        folder.chmod(0o755)
        shutil.copy(_ROOT / "pyproject.toml", folder)
        skip = shutil.ignore_patterns("__pycache__")
        for room in ("common", "invoker", "runtimes"):
            shutil.copytree(_ROOT / room, folder / room, ignore=skip)
        shutil.copytree(_ROOT / "tests" / "sandbox", folder / "tests" / "sandbox", ignore=skip)
        suite = "tests/contracts/containers"
        shutil.copytree(_ROOT / suite, folder / suite, ignore=skip)
        _copy_packages(_PACKAGES, folder / "site")
        (folder / "work").mkdir(mode=0o777)
        (folder / "work").chmod(0o777)
        yield folder


def _copy_packages(names: Iterable[str], target: Path) -> None:
    for name in names:
        for file in distribution(name).files or ():
            if ".." not in file.parts and file.suffix != ".pyc":
                (target / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(str(file.locate()), target / file)


def _with_what_they_need(names: Iterable[str]) -> set[str]:
    """These distributions and, as far as they are installed, all that they require."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        try:
            needed = distribution(name).requires or []
        except PackageNotFoundError:
            continue
        if name not in found:
            found.add(name)
            waiting += [
                re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in needed if "extra ==" not in line
            ]
    return found


@pytest.fixture
def delegated() -> Iterator[None]:
    done = host_setup(USER)
    folders = [Path(line.split(" belongs to ")[0]) for line in done]
    assert folders
    yield
    for folder in folders:
        folder.rmdir()
        if not [p for p in folder.parent.iterdir() if p.is_dir()]:
            folder.parent.rmdir()


def _as_user(place: Path, *command: str, group: int | None = None) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(str(place / name) for name in ("site", "common", "invoker", "runtimes", "tests"))
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": path,
        "TMPDIR": str(place / "work"),
        "HOME": str(place / "work"),
    }
    become = [f"--groups={group}" if word == "--clear-groups" and group else word for word in _BECOME]
    return subprocess.run(
        [*become, *command],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.mark.timeout(300)
def test_everything_holds_for_an_ordinary_user(place: Path, delegated: None) -> None:
    interpreter = _interpreter()
    if interpreter is None:
        pytest.skip("no interpreter of this version that an ordinary user may run")
    done = _as_user(place, interpreter, "-m", "pytest", "-p", "no:cacheprovider", "-q", "-m", _OWN, *_SUITES)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) >= 50


_START = """
import asyncio, sys
from pathlib import Path
from sandbox.guests import make_factory
from upwhisk.common.errors import ConfinementMissing
try:
    asyncio.run(make_factory(Path(sys.argv[1])).start())
except ConfinementMissing as error:
    print(*error.missing, sep="\\n")
"""


def test_without_a_delegated_cgroup_it_refuses_and_says_why(place: Path) -> None:
    interpreter = _interpreter()
    if interpreter is None:
        pytest.skip("no interpreter of this version that an ordinary user may run")
    done = _as_user(place, interpreter, "-c", _START, str(place / "work"))
    assert "memory cannot be limited" in done.stdout, done.stderr
    assert "upwhisk admin host-setup --user" in done.stdout
    assert not list((place / "work").iterdir())


_FILTERED = """
import errno, pyseccomp
rules = pyseccomp.SyscallFilter(defaction=pyseccomp.ALLOW)
rules.add_rule(pyseccomp.ERRNO(errno.EPERM), "unshare")
rules.load()
"""


def test_without_namespaces_it_refuses_and_says_why(place: Path, delegated: None) -> None:
    """As in a container whose own filter forbids namespaces."""
    interpreter = _interpreter()
    if interpreter is None:
        pytest.skip("no interpreter of this version that an ordinary user may run")
    done = _as_user(place, interpreter, "-c", _FILTERED + _START, str(place / "work"))
    assert "unshare: Operation not permitted" in done.stdout, done.stderr
    assert "outside of containers" in done.stdout
    assert not list((place / "work").iterdir())


_ENGINE = """
import asyncio, json, sys
from pathlib import Path
from sandbox.guests import KIND, run
from upwhisk.common.errors import ContainerCreateFailed
from upwhisk.common.settings import DockerSettings
from upwhisk.common.spi.containers import ContainerSpec, Network
from upwhisk.invoker.containers.docker.factory import DockerFactory

async def main():
    settings = DockerSettings(host=sys.argv[2], image_prefix="upwhisk-test")
    async with DockerFactory("0rd1nary", Path(sys.argv[1]), settings) as factory:
        guest = await factory.create(ContainerSpec(KIND, 128))
        answer = await run(guest, "result = 6 * 7")
        await guest.freeze()
        await guest.thaw()
        await guest.resize(192)
        used = (await guest.stats()).memory_bytes
        await guest.destroy()
        try:
            await factory.create(ContainerSpec(KIND, 128, Network.API))
        except ContainerCreateFailed as error:
            refused = str(error)
        print(json.dumps([answer, used > 0, guest.alive, refused, list(factory.findings())]))

asyncio.run(main())
"""


@pytest.mark.external_service
def test_an_ordinary_user_has_an_engine_make_guests_without_a_network(
    place: Path, docker_with_probe: str
) -> None:
    interpreter = _interpreter()
    if interpreter is None:
        pytest.skip("no interpreter of this version that an ordinary user may run")
    _copy_packages(_with_what_they_need(["aiodocker", "structlog"]), place / "site")
    socket = Path(docker_with_probe.removeprefix("unix://"))
    if socket.parent.name.startswith("uw-docker"):  # the tests' own, which is closed to others
        socket.parent.chmod(0o711)
    done = _as_user(
        place, interpreter, "-c", _ENGINE, str(place / "work"), docker_with_probe, group=socket.stat().st_gid
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answer, used, alive, refused, findings = json.loads(done.stdout)
    assert (answer, used, alive) == (42, True, False)
    assert "'api' is not available" in refused
    assert any("need root" in finding for finding in findings)
    assert not list((place / "work").iterdir())
