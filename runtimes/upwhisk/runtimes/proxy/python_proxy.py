"""The proxy of Python guests: serves OpenWhisk's /init and /run.

A zygote loads this file by its path, forks, and calls `serve(3)` in the child. As a program it is
`python -I -S python_proxy.py [--fd 3 | --port 8080 [--host 0.0.0.0]] [--library FOLDER]`.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import socket
import sys


def _guest(name: str) -> object:
    """A module of the folder beside this file, which is on nobody's path: user code's imports must not see it."""
    if "upwhisk_guest" not in sys.modules:
        folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "upwhisk_guest")
        spec = importlib.util.spec_from_file_location(
            "upwhisk_guest", os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
        )
        assert spec is not None
        assert spec.loader is not None
        package = importlib.util.module_from_spec(spec)
        sys.modules["upwhisk_guest"] = package
        spec.loader.exec_module(package)
    return importlib.import_module(f"upwhisk_guest.{name}")


_preload = _guest("preload")
_server = _guest("python_server")
PRELOAD: tuple[str, ...] = _preload.PRELOAD  # type: ignore[attr-defined]
"""Modules for the zygote to import before it forks."""


def serve(listen_fd: int, library: str | None = None) -> None:
    """Serve the listening Unix or TCP socket `listen_fd` until the process is killed; see `python_server.serve`."""
    _server.serve(listen_fd, library)  # type: ignore[attr-defined]


def rehearse() -> None:
    """For a zygote: do ahead what makes a first activation slow."""
    _guest("python_async")  # guests find it loaded
    _guest("rehearsal").rehearse()  # type: ignore[attr-defined]


def main(arguments: list[str]) -> None:
    import argparse  # not for zygotes, which load this file too

    parser = argparse.ArgumentParser(prog="python_proxy")
    parser.add_argument("--fd", type=int, default=3, help="a listening socket that was inherited")
    parser.add_argument("--port", type=int, help="listen on this port instead")
    parser.add_argument("--host", default="0.0.0.0")
    parser.add_argument("--library", help="folder of packages that actions may import")
    options = parser.parse_args(arguments)
    fd: int = options.fd
    if options.port is not None:
        fd = socket.create_server((options.host, options.port), backlog=128).detach()
    serve(fd, options.library)


if __name__ == "__main__":
    main(sys.argv[1:])
