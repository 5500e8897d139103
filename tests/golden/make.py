"""Writes what this release writes into a new folder beside this file: `python tests/golden/make.py 1.1` (docs/fleet.md, "Forms")."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from golden.samples import written  # noqa: E402 - the tests' own package


def main() -> None:
    folder = HERE / sys.argv[1]
    folder.mkdir()
    for name, text in written().items():
        (folder / name).write_bytes(text)
    with tempfile.TemporaryDirectory() as temporary:
        data = Path(temporary) / "data"
        environment = {"PYTHONPATH": str(HERE.parent)}
        subprocess.run([sys.executable, str(HERE / "data_folder.py"), str(data)], check=True, env=environment, timeout=60)
        with tarfile.open(folder / "data-folder.tar.gz", "w:gz") as archive:
            archive.add(data, "data", filter=_anonymous)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


if __name__ == "__main__":
    main()
