"""The machine's root file system: Python, a few programs and the source, copied from this host."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from vm.commands import run
from vm.kernel import with_dependencies

_ROOT = Path(__file__).resolve().parents[2]
BOOT_MODULES = ("virtio_pci", "virtio_blk")
_MODULES = (
    *BOOT_MODULES,
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
_FOLDERS = "proc sys dev tmp run data etc bin usr/bin sbin var/tmp root modules"
_ETC = {
    "passwd": "root:x:0:0:root:/root:/bin/sh\nguest:x:41234:41234:guest:/tmp:/bin/sh\n",
    "group": "root:x:0:\nguest:x:41234:\n",
    "hosts": "127.0.0.1 localhost vm\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}


def root_tree(tree: Path, modules: Path) -> Path:
    """Make it in `tree`, which is not there yet."""
    for name in _FOLDERS.split():
        (tree / name).mkdir(parents=True)
    for name in ("tmp", "var/tmp"):
        (tree / name).chmod(0o1777)
    shutil.copy(str(shutil.which("busybox")), tree / "bin/busybox")
    for applet in run("busybox", "--list").split():
        if applet not in ("busybox", *_TOOLS):
            (tree / "bin" / applet).symlink_to("busybox")
    _copy_python(tree)
    _copy_programs(tree)
    _copy_source(tree / "src")
    # the machine is slow: it should not spend its time on compiling
    compiling = f"-m compileall -q --invalidation-mode unchecked-hash -s {tree} -p /".split()
    run(sys.executable, *compiling, str(tree / "site"), str(tree / "src"))
    _copy_modules(tree / "modules", modules)
    for name, text in _ETC.items():
        (tree / "etc" / name).write_text(text)
    shutil.copy(Path(__file__).parent / "guest/init", tree / "init")
    (tree / "init").chmod(0o755)
    run("/sbin/ldconfig", "-r", str(tree))
    return tree


def _copy_modules(target: Path, modules: Path) -> None:
    """Into one folder, with a file that says in which order they are loaded."""
    order = []
    for path in with_dependencies(modules, _MODULES):
        shutil.copy(path, target)
        order.append(f"{path.name}\n")
    (target / "order").write_text("".join(order))


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
    listing = run("/sbin/ldconfig", "-p")
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
