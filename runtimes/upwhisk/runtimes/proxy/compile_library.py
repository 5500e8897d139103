"""Run once when an image is built: compile the standard library and what is below the folders given.

Images whose Python comes without compiled files would otherwise compile what they import at each start.
"""

from __future__ import annotations

import compileall
import re
import sys
import sysconfig

_UNUSED = re.compile(r"/(test|tests|idlelib|turtledemo|lib2to3|tkinter|ensurepip|site-packages|dist-packages)/")


def main(folders: list[str]) -> None:
    compileall.compile_dir(sysconfig.get_path("stdlib"), quiet=2, rx=_UNUSED)
    for folder in folders:
        compileall.compile_dir(folder, quiet=2)


if __name__ == "__main__":
    main(sys.argv[1:])
