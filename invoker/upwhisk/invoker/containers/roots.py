"""Pure plans of guest roots: which files of the host a runtime needs, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from upwhisk.invoker.containers.elf import libraries, named
from upwhisk.runtimes.installation import RuntimeInstallation

# What binary wheels may count on (the manylinux policies), and name resolution loads by name.
_LIBRARIES = (
    "libc.so.6 libm.so.6 libdl.so.2 libpthread.so.0 librt.so.1 libutil.so.1 libresolv.so.2 libcrypt.so.1 "
    "libnss_files.so.2 libnss_dns.so.2 libstdc++.so.6 libgcc_s.so.1 libz.so.1 libatomic.so.1"
)
_TOOLS = (
    "[ awk base32 base64 basename bash bunzip2 bzip2 cat chmod cmp comm cp cut date dd df diff dirname du echo env "
    "expand expr factor false find fmt fold getent grep gunzip gzip head hostname iconv id install join ln ls "
    "md5sum mkdir mkfifo mktemp mv nl nohup nproc numfmt od paste pathchk perl pr printenv printf pwd readlink "
    "realpath rm rmdir sed seq sh sha1sum sha256sum sha512sum shuf sleep sort split stat stdbuf stty sum sync tac "
    "tail tar tee test timeout touch tr true truncate tsort uname unexpand uniq unlink wc which who xargs yes zcat"
)
PROXIES = Path("/opt/upwhisk/proxy")
LIBRARY = Path("/opt/upwhisk/library")
NODE_MODULES = Path("/node_modules")
"""Node looks here for what it finds nowhere nearer, whether it is required or imported."""
_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
_PROBE = "import ctypes, json, sysconfig; p = sysconfig.get_paths(); print(json.dumps([p['stdlib'], p['platstdlib']]))"
_ETC = (
    ("/etc/passwd", "root:x:0:0:root:/:/bin/false\nguest:x:1000:1000:guest:/tmp:/bin/sh\n"),
    ("/etc/group", "root:x:0:\nguest:x:1000:\n"),
    ("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"),
    ("/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"),
)


@dataclass(slots=True)
class RootPlan:
    """What the zygote builds. Paths of `binds` are (on the host, in the guest); `hidden` folders appear empty."""

    folders: list[str] = field(default_factory=lambda: ["/proc", "/tmp", "/dev", "/etc", "/var"])  # noqa: S108
    links: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    binds: dict[str, str] = field(default_factory=dict)
    hidden: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        binds = [(source, path) for path, source in sorted(self.binds.items())]
        return {
            "folders": self.folders,
            "links": list(self.links.items()),
            "files": list(self.files.items()),
            "binds": binds,
            "hidden": self.hidden,
        }

    def bind(self, path: Path, source: Path | None = None) -> None:
        self.binds[str(path)] = str(source or path.resolve())

    def link(self, path: str, target: Path) -> None:
        """Unless it is there itself, as in many images."""
        if path != str(target):
            self.links.setdefault(path, str(target))


def plan_root(installation: RuntimeInstallation, resolvers: tuple[str, ...]) -> RootPlan:
    """The root for guests of `installation`.

    Raises `OSError` or `ValueError` when the interpreter does not run.
    """
    plan = RootPlan()
    _add_base(plan, resolvers)
    programs = [installation.interpreter.resolve()]
    if installation.family != "nodejs":
        programs += _add_python(plan, installation.interpreter)
    else:
        plan.link("/usr/local/bin/node", programs[0])
    if installation.family == "native":
        programs += _add_tools(plan)
    plan.bind(programs[0])
    # At paths of their own: where they are installed, the guest's /tmp could hide them.
    plan.bind(PROXIES, installation.proxy.resolve().parent)
    if installation.library is not None:
        where = NODE_MODULES if installation.family == "nodejs" else LIBRARY
        plan.bind(where, installation.library.resolve())
    for path in named(_LIBRARIES.split()):
        plan.bind(path.parent.resolve() / path.name, path.resolve())
        programs.append(path)
    for path, source in libraries(programs).items():
        if not any(path.is_relative_to(folder) for folder in map(Path, plan.binds) if folder != path):
            plan.bind(path, source)
    return plan


def _add_base(plan: RootPlan, resolvers: tuple[str, ...]) -> None:
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        if os.path.islink(f"/{name}"):
            plan.links[f"/{name}"] = os.readlink(f"/{name}")
            plan.folders.append("/" + os.path.realpath(f"/{name}").lstrip("/"))
    plan.files.update(_ETC)
    plan.files["/etc/resolv.conf"] = "".join(f"nameserver {r}\n" for r in resolvers)
    for device in ("null", "zero", "full", "random", "urandom"):
        plan.bind(Path("/dev") / device)
    plan.links.update({"/dev/fd": "/proc/self/fd", "/dev/shm": "/tmp", "/var/tmp": "/tmp"})  # noqa: S108
    plan.links.update({f"/dev/std{n}": f"/proc/self/fd/{i}" for i, n in enumerate(("in", "out", "err"))})
    bundle = next((Path(b) for b in _BUNDLES if os.path.exists(b)), None)
    if bundle is not None:
        plan.bind(Path(_BUNDLE), bundle.resolve())
        plan.links.update(
            {
                "/etc/ssl/cert.pem": _BUNDLE,
                "/usr/lib/ssl/cert.pem": _BUNDLE,
                "/usr/local/ssl/cert.pem": _BUNDLE,
            }
        )
    for path in (
        "/usr/share/zoneinfo",
        "/usr/lib/locale/C.utf8",
        "/usr/lib/locale/C.UTF-8",
        "/etc/ld.so.cache",
    ):
        if os.path.exists(path):
            plan.bind(Path(path))


def _add_python(plan: RootPlan, interpreter: Path) -> list[Path]:
    """Bind the interpreter and its standard library; return the files whose libraries it needs."""
    real = interpreter.resolve()
    command = [str(real), "-I", "-S", "-c", _PROBE]
    done = subprocess.run(command, capture_output=True, timeout=20, check=False, env={})
    if done.returncode:
        raise ValueError(f"{real}: {done.stderr.decode(errors='replace').strip()[-200:]}")
    plan.bind(real)
    extensions: list[Path] = []
    for folder in {Path(f).resolve() for f in json.loads(done.stdout)}:
        plan.bind(folder)
        plan.hidden += [
            str(folder / name) for name in ("site-packages", "dist-packages") if (folder / name).is_dir()
        ]
        extensions += (f for f in (folder / "lib-dynload").glob("*.so") if not f.name.startswith("_tkinter"))
    plan.link("/usr/local/bin/python3", real)
    return [real, *extensions]


def _add_tools(plan: RootPlan) -> list[Path]:
    files: list[Path] = []
    for name in _TOOLS.split():
        path = next((Path(f) / name for f in ("/usr/bin", "/bin") if os.path.exists(f"{f}/{name}")), None)
        if path is not None:
            plan.bind(path.parent.resolve() / name, path.resolve())
            files.append(path.resolve())
    return files
