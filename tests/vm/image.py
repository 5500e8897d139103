"""Makes what the virtual machine boots: a kernel, a small initramfs, and a disk with Python and the source."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from vm.commands import CannotBuild, run
from vm.kernel import kernel, with_dependencies
from vm.root_tree import BOOT_MODULES, root_tree

_PROGRAMS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "busybox": "busybox-static",
    "cpio": "cpio",
    "mke2fs": "e2fsprogs",
    "dpkg-deb": "dpkg",
}
_DISK_MB = 512
_INSTALL_S = 600


@dataclass(frozen=True, slots=True)
class Image:
    """What qemu is given. `disk` holds the root file system."""

    kernel: Path
    initramfs: Path
    disk: Path


def build(folder: Path) -> Image:
    """Make the image in `folder`. Raises `CannotBuild`."""
    _have_programs()
    kernel_tree = kernel()
    (modules,) = (kernel_tree / "lib/modules").iterdir()
    names = sorted((kernel_tree / "boot").glob("vmlinuz-*"))
    initramfs, disk = folder / "initramfs", folder / "disk"
    _pack_initramfs(_boot_tree(folder / "boot-tree", modules), initramfs)
    _pack_disk(root_tree(folder / "root-tree", modules), disk)
    return Image(names[0], initramfs, disk)


def _have_programs() -> None:
    missing = [package for program, package in _PROGRAMS.items() if not shutil.which(program)]
    if not missing:
        return
    if os.geteuid() != 0:
        raise CannotBuild(f"install as root: apt-get install --no-install-recommends {' '.join(missing)}")
    run("apt-get", "update", "-qq", within_s=_INSTALL_S)
    run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing, within_s=_INSTALL_S)


def _boot_tree(tree: Path, modules: Path) -> Path:
    """The initramfs: loads the disk's driver and goes on from the disk."""
    for name in ("bin", "proc", "dev", "root"):
        (tree / name).mkdir(parents=True)
    shutil.copy(str(shutil.which("busybox")), tree / "bin/busybox")
    lines = ["#!/bin/busybox sh", "/bin/busybox mount -t devtmpfs none /dev"]
    for path in with_dependencies(modules, BOOT_MODULES):
        shutil.copy(path, tree)
        lines.append(f"/bin/busybox insmod /{path.name}")
    lines.append("until /bin/busybox mount -t ext4 /dev/vda /root; do /bin/busybox usleep 20000; done")
    lines.append("exec /bin/busybox switch_root /root /init")
    (tree / "init").write_text("\n".join(lines) + "\n")
    (tree / "init").chmod(0o755)
    return tree


def _pack_initramfs(tree: Path, target: Path) -> None:
    names = "\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*")))
    with target.open("wb") as file:
        subprocess.run(
            ["cpio", "-o", "-H", "newc", "--quiet"],
            cwd=tree,
            input=names.encode(),
            stdout=file,
            check=True,
            timeout=60,
        )


def _pack_disk(tree: Path, target: Path) -> None:
    make_disk(target, _DISK_MB, tree)


def make_disk(target: Path, megabytes: int, content: Path | None = None) -> None:
    """A file with an ext4 file system, as large as said, that holds `content` and belongs to root."""
    options = ["-d", str(content)] if content else []
    run("mke2fs", "-q", "-F", "-t", "ext4", "-E", "root_owner=0:0", *options, str(target), f"{megabytes}M")
