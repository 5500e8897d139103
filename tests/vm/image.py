"""Makes what the virtual machine boots: Debian's cloud kernel, a small initramfs, and a disk with Python and the source.

Everything of the disk is copied from this host; the kernel is downloaded once and kept in the cache folder.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_PROGRAMS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "busybox": "busybox-static",
    "cpio": "cpio",
    "mke2fs": "e2fsprogs",
    "dpkg-deb": "dpkg",
}
_KERNEL_PACKAGE = "linux-image-cloud-amd64"
_BOOT_MODULES = ("virtio_pci", "virtio_blk")
_MODULES = (
    *_BOOT_MODULES,
    *("overlay", "veth", "tun", "nf_tables", "nft_chain_nat", "nft_masq", "nft_ct", "nft_reject_inet"),
    *("nft_reject_ipv4", "nft_reject_ipv6", "nft_fib_inet", "nft_limit", "nf_nat", "nf_conntrack"),
)
_TOOLS = ("setpriv", "ip", "nft", "getent", "unshare")
_PACKAGES = (
    *("pytest", "pytest-asyncio", "pytest-timeout", "pluggy", "iniconfig", "packaging", "pygments"),
    *("msgspec", "pyseccomp", "typing_extensions", "structlog", "cffi", "pycparser", "cryptography"),
)
_ROOMS = ("common", "backends", "controller", "loadbalancer", "invoker", "runtimes", "triggers", "cli")
_BY_NAME = (
    "libseccomp.so.2",
    "libnss_files.so.2",
    "libnss_dns.so.2",
    "libgcc_s.so.1",
    "libstdc++.so.6",
    "libresolv.so.2",
)
_DISK_MB = 512
_INSTALL_S = 600


class CannotBuild(Exception):
    """The host lacks something; the text says what and how to get it."""


@dataclass(frozen=True, slots=True)
class Image:
    """What qemu is given. `disk` holds the root file system."""

    kernel: Path
    initramfs: Path
    disk: Path


def cache() -> Path:
    """Where the kernel is kept between runs."""
    default = "/var/cache/upwhisk-test" if os.geteuid() == 0 else str(Path.home() / ".cache/upwhisk-test")
    folder = Path(os.environ.get("UPWHISK_TEST_CACHE") or default)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def build(folder: Path) -> Image:
    """Make the image in `folder`. Raises `CannotBuild`."""
    _have_programs()
    kernel_tree = _kernel()
    (modules,) = (kernel_tree / "lib/modules").iterdir()
    names = sorted((kernel_tree / "boot").glob("vmlinuz-*"))
    initramfs, disk = folder / "initramfs", folder / "disk"
    _pack_initramfs(_boot_tree(folder / "boot-tree", modules), initramfs)
    _pack_disk(_root_tree(folder / "root-tree", modules), disk)
    return Image(names[0], initramfs, disk)


def _run(*command: str, within_s: float = 120.0, cwd: Path | None = None, text: str = "") -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=within_s, check=False, cwd=cwd, input=text or None
    )
    if done.returncode != 0:
        raise CannotBuild(f"{' '.join(command)}: {done.stderr[-2000:]}")
    return done.stdout


def _have_programs() -> None:
    missing = [package for program, package in _PROGRAMS.items() if not shutil.which(program)]
    if not missing:
        return
    if os.geteuid() != 0:
        raise CannotBuild(f"install as root: apt-get install --no-install-recommends {' '.join(missing)}")
    _run("apt-get", "update", "-qq", within_s=_INSTALL_S)
    _run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing, within_s=_INSTALL_S)


def _kernel() -> Path:
    """The unpacked kernel package."""
    tree = cache() / "kernel"
    if tree.is_dir():
        return tree
    found = re.search(r"Depends: (linux-image-\S+)", _run("apt-cache", "depends", _KERNEL_PACKAGE))
    if found is None:
        raise CannotBuild(f"apt knows no {_KERNEL_PACKAGE}: this needs Debian's package sources")
    making = cache() / f"kernel.{os.getpid()}"
    making.mkdir()
    _run("apt-get", "download", "-q", found[1], within_s=_INSTALL_S, cwd=making)
    (package,) = making.glob("*.deb")
    _run("dpkg-deb", "-x", str(package), str(making))
    package.unlink()
    making.rename(tree)
    return tree


def _boot_tree(tree: Path, modules: Path) -> Path:
    """The initramfs: loads the disk's driver and goes on from the disk."""
    for name in ("bin", "proc", "dev", "root"):
        (tree / name).mkdir(parents=True)
    shutil.copy(str(shutil.which("busybox")), tree / "bin/busybox")
    lines = ["#!/bin/busybox sh", "/bin/busybox mount -t devtmpfs none /dev"]
    for path in _with_dependencies(modules, _BOOT_MODULES):
        shutil.copy(path, tree)
        lines.append(f"/bin/busybox insmod /{path.name}")
    lines.append("until /bin/busybox mount -t ext4 /dev/vda /root; do /bin/busybox usleep 20000; done")
    lines.append("exec /bin/busybox switch_root /root /init")
    (tree / "init").write_text("\n".join(lines) + "\n")
    (tree / "init").chmod(0o755)
    return tree


def _with_dependencies(modules: Path, names: tuple[str, ...]) -> list[Path]:
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


def _root_tree(tree: Path, modules: Path) -> Path:
    for name in (
        "proc",
        "sys",
        "dev",
        "tmp",
        "run",
        "data",
        "etc",
        "bin",
        "usr/bin",
        "sbin",
        "var/tmp",
        "root",
        "modules",
    ):
        (tree / name).mkdir(parents=True)
    for name in ("tmp", "var/tmp"):
        (tree / name).chmod(0o1777)
    shutil.copy(str(shutil.which("busybox")), tree / "bin/busybox")
    for applet in _run("busybox", "--list").split():
        if applet not in ("busybox", *_TOOLS):
            (tree / "bin" / applet).symlink_to("busybox")
    _copy_python(tree)
    _copy_programs(tree)
    _copy_source(tree / "src")
    # the machine is slow: it should not spend its time on compiling
    compiling = (
        "-m",
        "compileall",
        "-q",
        "-s",
        str(tree),
        "-p",
        "/",
        "--invalidation-mode",
        "unchecked-hash",
    )
    _run(sys.executable, *compiling, str(tree / "site"), str(tree / "src"))
    order = []
    for path in _with_dependencies(modules, _MODULES):
        shutil.copy(path, tree / "modules")
        order.append(path.name)
    (tree / "modules/order").write_text("\n".join(order) + "\n")
    (tree / "etc/passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\nguest:x:41234:41234:guest:/tmp:/bin/sh\n"
    )
    (tree / "etc/group").write_text("root:x:0:\nguest:x:41234:\n")
    (tree / "etc/hosts").write_text("127.0.0.1 localhost vm\n")
    (tree / "etc/nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files\n")
    shutil.copy(Path(__file__).parent / "guest/init", tree / "init")
    (tree / "init").chmod(0o755)
    _run("/sbin/ldconfig", "-r", str(tree))
    return tree


def _copy_python(tree: Path) -> None:
    """The interpreter that runs this, at its own path, and the packages that the tests import."""
    interpreter = Path(os.path.realpath(sys.executable))
    _copy_file(tree, interpreter)
    (tree / "usr/bin/python").symlink_to(interpreter)
    library = Path(sysconfig.get_paths()["stdlib"])
    skip = shutil.ignore_patterns(
        "test",
        "tests",
        "idlelib",
        "lib2to3",
        "tkinter",
        "ensurepip",
        "site-packages",
        "dist-packages",
        "config-*",
    )
    target = tree / library.relative_to("/")
    shutil.copytree(library, target, ignore=skip, dirs_exist_ok=True)
    for folder in target.relative_to(tree).parents:
        (tree / folder).chmod(0o755)
    for package in _PACKAGES:
        try:
            files = distribution(package).files or []
        except PackageNotFoundError:
            continue  # not every package is needed on every version
        for file in files:
            if ".." not in file.parts and file.suffix != ".pyc":
                _copy_file(tree, Path(str(file.locate())), tree / "site" / file)
    for path in sorted(target.rglob("*.so")) + sorted((tree / "site").rglob("*.so")):
        _copy_libraries(tree, path)


def _copy_programs(tree: Path) -> None:
    for program in _TOOLS:
        found = shutil.which(program)
        if found is not None:
            _copy_file(tree, Path(found).resolve(), tree / "usr/bin" / program)
            _copy_libraries(tree, Path(found))
    _copy_libraries(tree, Path(os.path.realpath(sys.executable)))
    _copy_file(tree, Path("/sbin/ldconfig").resolve(), tree / "sbin/ldconfig")
    listing = _run("/sbin/ldconfig", "-p")
    for name in _BY_NAME:
        found_at = re.search(rf"\s{re.escape(name)} .*=> (\S+)", listing)
        if found_at is not None:
            _copy_file(tree, Path(found_at[1]))
            _copy_libraries(tree, Path(found_at[1]))


def _copy_libraries(tree: Path, program: Path) -> None:
    done = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False, timeout=30)
    for path in re.findall(r"(?:=> |^\s+)(/\S+) \(0x", done.stdout, re.MULTILINE):
        _copy_file(tree, Path(path))


def _copy_file(tree: Path, source: Path, target: Path | None = None) -> None:
    target = target or tree / source.relative_to("/")
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)


def _copy_source(target: Path) -> None:
    skip = shutil.ignore_patterns("__pycache__", ".*", "js")
    for room in (*_ROOMS, "tests"):
        shutil.copytree(_ROOT / room, target / room, ignore=skip)
    shutil.copy(_ROOT / "pyproject.toml", target)


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
    _run("mke2fs", "-q", "-F", "-t", "ext4", "-E", "root_owner=0:0", *options, str(target), f"{megabytes}M")
