"""Debian's cloud kernel: downloaded once, kept in the cache folder."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from services.cache import cache_folder
from vm.commands import CannotBuild, run

_KERNEL_PACKAGE = "linux-image-cloud-amd64"
_INSTALL_S = 600


def kernel() -> Path:
    """The unpacked kernel package."""
    tree = cache_folder() / "kernel"
    if tree.is_dir():
        return tree
    pattern = re.compile(r"Depends: (linux-image-\S+)")
    found = pattern.search(_depends())
    if found is None and os.geteuid() == 0:
        run("apt-get", "update", "-qq", within_s=_INSTALL_S)
        found = pattern.search(_depends())
    if found is None:
        raise CannotBuild(f"apt knows no {_KERNEL_PACKAGE}: this needs Debian's package sources")
    making = cache_folder() / f"kernel.{os.getpid()}"
    making.mkdir()
    run("apt-get", "download", "-q", found[1], within_s=_INSTALL_S, cwd=making)
    (package,) = making.glob("*.deb")
    run("dpkg-deb", "-x", str(package), str(making))
    package.unlink()
    making.rename(tree)
    return tree


def _depends() -> str:
    """What the kernel's package needs; empty if apt does not know it."""
    command = ("apt-cache", "depends", _KERNEL_PACKAGE)
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout


def with_dependencies(modules: Path, names: tuple[str, ...]) -> list[Path]:
    """The files of these modules and of those they need, in the order of loading."""
    files = {path.name.removesuffix(".ko").replace("-", "_"): path for path in modules.rglob("*.ko")}
    ordered: dict[str, Path] = {}

    def add(name: str) -> None:
        if name in ordered or name not in files:
            return
        needs = re.search(rb"\x00depends=([^\x00]*)\x00", files[name].read_bytes())
        for each in (needs[1].decode() if needs else "").split(","):
            add(each.replace("-", "_"))
        ordered[name] = files[name]

    for name in names:
        add(name)
    return list(ordered.values())
