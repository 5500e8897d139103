"""Build the wheel, install it into an empty environment, and use it from an empty directory.

What users get is the wheel, not the checkout: a file that is missing in it shows here.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXTRA = "distributed"
EXTRA_PACKAGES = ("aiokafka", "consul", "docker", "aiodocker")
PROBE = """
import importlib, pkgutil, sys, upwhisk
wanted = sys.argv[1:]
left_out = 0
for room in ("common", "backends", "controller", "loadbalancer", "invoker", "runtimes", "triggers", "cli"):
    package = importlib.import_module(f"upwhisk.{room}")
    assert "site-packages" in package.__file__, package.__file__
    for module in pkgutil.walk_packages(package.__path__, f"upwhisk.{room}."):
        if ".proxy." not in module.name and ".zygote." not in module.name and not module.name.endswith("__main__"):
            try:
                importlib.import_module(module.name)
            except ModuleNotFoundError as error:
                if (error.name or "").split(".")[0] not in wanted:
                    raise
                left_out += 1
print(f"every module imports; {left_out} need more packages" if left_out else "every module imports")
"""


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        sys.exit(f"{command[0]} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def try_standalone(command: Path, data: Path) -> str:
    """Start the installed platform until it is ready, then stop it; where guests cannot be confined it says so."""
    process = subprocess.Popen(
        [str(command), "standalone", "--port", "0", "--data", str(data)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    try:
        first = process.stdout.readline().strip()
        process.terminate()
        status = process.wait(60)
    finally:
        watchdog.cancel()
        process.stdout.close()
    if os.geteuid() == 0 and ("is ready" not in first or status != 0):
        sys.exit(f"the installed platform did not start and stop: {first!r}, status {status}")
    return first or "this user cannot confine guests here; the platform refused to start"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        run(sys.executable, "-m", "build", "--no-isolation", "--outdir", place / "dist", ROOT, cwd=place)
        wheel = next((place / "dist").glob("*.whl"))
        names = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
        extra = {n for n in names if n != "upwhisk" and not n.endswith(".dist-info")}
        assert not extra, f"the wheel installs more than upwhisk: {sorted(extra)}"
        venv.create(place / "env", with_pip=True)
        python = place / "env/bin/python"
        run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel, cwd=place)
        empty = place / "empty"
        empty.mkdir()
        print(run(python, "-c", PROBE, *EXTRA_PACKAGES, cwd=empty).strip())
        print(try_standalone(place / "env/bin/upwhisk", place / "data"))
        shown = run(place / "env/bin/upwhisk", "--help", cwd=empty)
        assert "standalone" in shown, shown
        run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"{wheel}[{EXTRA}]", cwd=place)
        print(f"with [{EXTRA}]: " + run(python, "-c", PROBE, cwd=empty).strip())
        print(f"wheel ok: {wheel.name}, {wheel.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
