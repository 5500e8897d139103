"""How a kind of runtime is started on this node."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from upwhisk.runtimes.discover import Interpreters
from upwhisk.runtimes.proxy.upwhisk_guest.preload import NATIVE_PRELOAD, PRELOAD

BLACKBOX = "blackbox"
PROXIES = Path(__file__).parent / "proxy"
DOCKERFILES = Path(__file__).parent / "images"
"""A folder for each family, for engines with images."""
Family = Literal["python", "nodejs", "native"]
_PYTHON_FLAGS = ("-I", "-S", "-X", "utf8")


@dataclass(frozen=True, slots=True)
class RuntimeInstallation:
    """One kind as it can be started here.

    * `interpreter`: the real file, not a link to it. `proxy`: the program it runs; its folder holds what it needs.
    * `argv` starts it on the listening socket that it inherits as descriptor 3.
    * `preload`: modules for a zygote of this interpreter to import before it forks guests; empty: no zygote.
    * `library`: folder of preinstalled packages (for Node a `node_modules`).
    """

    kind: str
    family: Family
    interpreter: Path
    proxy: Path
    argv: tuple[str, ...]
    preload: tuple[str, ...] = ()
    library: Path | None = None

    @property
    def is_forked_ready(self) -> bool:
        """A guest is ready when its zygote has forked it, and shares the zygote's memory; else its interpreter starts then."""
        return self.family != "nodejs"


def install(
    kind: str, interpreters: Interpreters, library: Path | None = None, base: Path | None = None
) -> RuntimeInstallation | None:
    """None if the interpreter of this kind was not found. `base`: the Python that serves native actions."""
    family, _, version = kind.partition(":")
    match family:
        case "python":
            python = next((p for v, p in interpreters.pythons.items() if version == f"{v[0]}.{v[1]}"), None)
            return None if python is None else _python(kind, python, library)
        case "nodejs":
            node = next((p for major, p in interpreters.nodes.items() if version == str(major)), None)
            return None if node is None else _node(kind, node)
        case "blackbox":
            found = base or next(
                (path for _, path in sorted(interpreters.pythons.items(), reverse=True)), None
            )
            return None if found is None else _native(kind, found)
        case _:
            return None


def _python(kind: str, interpreter: Path, library: Path | None) -> RuntimeInstallation:
    proxy = PROXIES / "python_proxy.py"
    packages = () if library is None else ("--library", str(library))
    argv = (str(interpreter), *_PYTHON_FLAGS, str(proxy), "--fd", "3", *packages)
    return RuntimeInstallation(kind, "python", interpreter, proxy, argv, PRELOAD, library)


def _node(kind: str, interpreter: Path) -> RuntimeInstallation:
    proxy = PROXIES / "node_proxy.js"
    return RuntimeInstallation(
        kind, "nodejs", interpreter, proxy, (str(interpreter), str(proxy), "--fd", "3")
    )


def _native(kind: str, interpreter: Path) -> RuntimeInstallation:
    proxy = PROXIES / "native_proxy.py"
    argv = (str(interpreter), *_PYTHON_FLAGS, str(proxy), "--fd", "3")
    return RuntimeInstallation(kind, "native", interpreter, proxy, argv, NATIVE_PRELOAD)
