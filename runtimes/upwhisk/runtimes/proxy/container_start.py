"""How a Python proxy starts in a container that an engine made, where nothing can be inherited.

`python -I -S container_start.py <proxy> [<argument of its serve>...]`: the folder `/run/upwhisk`, mounted by the platform
and read-only, holds two pipes for the output and a socket over which the platform hands the listening socket.
"""

from __future__ import annotations

import importlib.util
import os
import socket
import sys

FOLDER = "/run/upwhisk"
LISTEN = 3


def take_descriptors(folder: str = FOLDER) -> None:
    """Make 1 and 2 the pipes and 3 the listening socket, as a forked guest has them."""
    for number, name in ((1, "stdout"), (2, "stderr")):
        pipe = os.open(os.path.join(folder, name), os.O_WRONLY)
        os.dup2(pipe, number)
        os.close(pipe)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
        channel.connect(os.path.join(folder, "birth"))
        _, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
    if not descriptors:
        sys.exit("the platform gave no socket")
    if descriptors[0] != LISTEN:
        os.dup2(descriptors[0], LISTEN)
        os.close(descriptors[0])


def main(arguments: list[str]) -> None:
    proxy, *given = arguments
    take_descriptors()
    spec = importlib.util.spec_from_file_location("upwhisk_proxy", proxy)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["upwhisk_proxy"] = module
    spec.loader.exec_module(module)
    sys.argv[:] = [proxy]
    module.serve(LISTEN, *given)


if __name__ == "__main__":
    main(sys.argv[1:])
