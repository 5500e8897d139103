"""Images under the names that compose.yaml gives: our own from its Dockerfile, and in the place of the services' the same
releases (CouchDB: a server of its protocol), each on a Debian of this machine."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from compose import prepared
from compose.files import BASE, ROOT, services
from services import consul, couchdb, kafka
from services.commands import have, run

STANDINS = Path(__file__).parent / "standins"
_BUILD_S = 600.0
_OURS = ("pyproject.toml", "README.md", "LICENSE", "Dockerfile", ".dockerignore")
_ROOMS = ("backends", "cli", "common", "compose", "controller", "invoker", "loadbalancer", "runtimes", "triggers")
_BASE, _NODE = "upwhisk-compose/base", "upwhisk-compose/node"


class Images:
    """`host`: the engine's address. Everything is built without a network."""

    def __init__(self, host: str) -> None:
        self._environment = {"DOCKER_HOST": host, "DOCKER_BUILDKIT": "0"}

    def build(self) -> None:
        self._base()
        self._node()
        with tempfile.TemporaryDirectory(prefix="uw-image-") as folder:
            self._ours(Path(folder))
        everybody = services((BASE,))
        fillers = {"couchdb": _fill_couchdb, "kafka": _fill_kafka, "consul": _fill_consul}
        for name, fill in fillers.items():
            self._standin(name, everybody[name]["image"], fill)
        self.docker("tag", _BASE, everybody["proxy"]["image"])  # HAProxy is among its packages

    def docker(self, *words: str | Path, within_s: float = _BUILD_S) -> str:
        return run(have("docker"), *words, within_s=within_s, environment=self._environment)

    def systemd(self) -> str:
        """The base with systemd as its first process, our environment and units; the name of the image."""
        ours = services((BASE,))["secrets"]["image"]
        with tempfile.TemporaryDirectory(prefix="uw-image-") as folder:
            shutil.copytree(STANDINS / "systemd", folder, dirs_exist_ok=True)
            shutil.copytree(ROOT / "compose/systemd", Path(folder) / "units")
            self._build(Path(folder), "upwhisk-compose/systemd", OURS=ours)
        return "upwhisk-compose/systemd"

    def _base(self) -> None:
        archive = prepared.base_archive()
        tag = f"{_BASE}:{archive.parent.name}"
        if not self.docker("images", "--quiet", tag).strip():
            self.docker("import", archive, tag)
        self.docker("tag", tag, _BASE)

    def _node(self) -> None:
        """Node of this machine, where the official image has it."""
        node = Path(have("node")).resolve()
        with tempfile.TemporaryDirectory(prefix="uw-node-") as folder:
            target = Path(folder) / "usr/local/bin/node"
            target.parent.mkdir(parents=True)
            shutil.copy(node, target)
            archive = Path(folder) / "node.tar"
            run("tar", "-C", folder, "-cf", archive, "usr", within_s=60)
            self.docker("import", archive, _NODE)

    def _ours(self, context: Path) -> None:
        for name in _OURS:
            shutil.copy(ROOT / name, context / name)
        for name in _ROOMS:
            shutil.copytree(ROOT / name, context / name, ignore=shutil.ignore_patterns("__pycache__", "private"))
        shutil.copytree(prepared.wheels(), context / "wheels")
        image = services((BASE,))["secrets"]["image"]
        self._build(context, image, BASE=_BASE, NODE=_NODE, PIP_OPTIONS="--no-index")

    def _standin(self, name: str, image: str, fill: Callable[[Path], None]) -> None:
        with tempfile.TemporaryDirectory(prefix="uw-image-") as folder:
            context = Path(folder)
            shutil.copytree(STANDINS / name, context, dirs_exist_ok=True)
            fill(context)
            arguments = {"BASE": _BASE, **({"NODE": _NODE} if name == "couchdb" else {})}
            self._build(context, image, **arguments)

    def _build(self, context: Path, image: str, **arguments: str) -> None:
        words = [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
        self.docker("build", "--quiet", "--network", "none", *words, "--tag", image, context)


def _fill_couchdb(context: Path) -> None:
    shutil.copytree(couchdb.prepare() / "node_modules", context / "node_modules", symlinks=True)


def _fill_kafka(context: Path) -> None:
    shutil.copytree(kafka.prepare(), context / "libs")
    shutil.copy(kafka.RECIPE / "log4j2.yaml", context / "log4j2.yaml")


def _fill_consul(context: Path) -> None:
    shutil.copy(consul.prepare(), context / "consul")


