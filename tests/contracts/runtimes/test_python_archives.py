"""Zips for the Python proxy: modules, virtualenvs, and what hostile ones get."""

from __future__ import annotations

import base64
import io
import json
import re
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from contracts.runtimes.guest import END, Guest, zipped

from upwhisk.runtimes.installation import RuntimeInstallation

MAIN = "def main(args):\n    return {}\n"
MODULE = "upwhisk_test_module.py"


@pytest.fixture
def virtualenv_root(python: RuntimeInstallation, tmp_path: Path) -> Path:
    """A virtualenv made with the `virtualenv` package, with a module of its own in it."""
    root = tmp_path / "virtualenv"
    command = [
        sys.executable,
        "-m",
        "virtualenv",
        "--no-download",
        "--no-pip",
        "-q",
        "-p",
        str(python.interpreter),
        str(root),
    ]
    subprocess.run(command, check=True, timeout=60)
    site = next(root.glob("lib/python3.*/site-packages"))
    (site / MODULE).write_text("NAME = 'from the virtualenv'\n", encoding="utf-8")
    return root


def zip_of(root: Path, main: str) -> str:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__main__.py", main)
        for file in sorted(root.rglob("*")):
            name = f"virtualenv/{file.relative_to(root)}"
            if file.is_symlink():
                archive.writestr(link(name), str(file.readlink()))
            elif file.is_file():
                archive.write(file, name)
    return base64.b64encode(buffer.getvalue()).decode()


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def special(name: str, kind: int) -> str:
    info = zipfile.ZipInfo(name)
    info.external_attr = (kind | 0o600) << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("__main__.py", MAIN)
        archive.writestr(info, "")
    return base64.b64encode(buffer.getvalue()).decode()


@pytest.mark.parametrize("name", ["__main__.py", "exec", "main__.py"])
def test_modules_and_files_beside_the_main_file(py: Guest, name: str) -> None:
    main = "import os, helper.words\ndef main(args):\n    return {'w': helper.words.W, 'f': open('data.txt').read(), 'd': os.getcwd()}\n"
    py.must_init(
        zipped({name: main, "helper/__init__.py": "", "helper/words.py": "W = '❄'", "data.txt": "x"}),
        binary=True,
    )
    answer = py.run()
    assert answer.json == {"w": "❄", "f": "x", "d": str(py.scratch.resolve() / "action" / "1")}


def test_without_a_main_file(py: Guest) -> None:
    answer = py.init(zipped({"other.py": MAIN}), binary=True)
    assert answer.status == 502
    assert answer.json == {"error": "The action failed to generate or locate a binary. See logs for details."}
    assert py.logs() == (END, "Zip file does not include main__\n" + END)


def test_a_virtualenv_is_activated(py: Guest, virtualenv_root: Path) -> None:
    main = "import os, sys, upwhisk_test_module as m\ndef main(args):\n    return {'name': m.NAME, 'env': os.environ['VIRTUAL_ENV']}\n"
    py.must_init(zip_of(virtualenv_root, main), binary=True)
    answer = py.run()
    assert answer.json["name"] == "from the virtualenv"
    assert answer.json["env"].startswith(str(py.scratch.resolve()))
    assert not (py.scratch / "action/1/virtualenv/bin/python").exists()


def test_a_virtualenv_of_another_python_names_both(py: Guest, python: RuntimeInstallation) -> None:
    other = "3.9"
    files = {
        "__main__.py": MAIN,
        "virtualenv/bin/activate_this.py": "",
        f"virtualenv/lib/python{other}/site-packages/x.py": "",
    }
    answer = py.init(zipped(files), binary=True)
    assert answer.status == 502
    ours = python.kind.partition(":")[2]
    assert (
        answer.json["error"]
        == f"The virtualenv was made with Python {other}, but this action runs on Python {ours}."
    )
    assert answer.json["error"] in py.logs()[1]


def test_a_virtualenv_without_its_script(py: Guest) -> None:
    answer = py.init(zipped({"__main__.py": MAIN, "virtualenv/pyvenv.cfg": ""}), binary=True)
    assert (answer.status, answer.json) == (502, {"error": "Cannot start action. Check logs for details."})
    out, err = py.logs()
    assert out == END
    assert err.startswith("Invalid virtualenv. Zip file does not include 'activate_this.py'.\n")


def test_the_scripts_folder_of_other_systems(py: Guest) -> None:
    script = "import sys; sys.modules['activated'] = sys"
    py.must_init(
        zipped({"__main__.py": "import activated\n" + MAIN, "virtualenv/Scripts/activate_this.py": script}),
        binary=True,
    )
    assert py.run().status == 200


def test_requirements_that_are_not_in_the_archive(py: Guest) -> None:
    answer = py.init(
        zipped({"__main__.py": MAIN, "requirements.txt": "# x\nno-such_package[a]==1 # y\n-r other\n"}),
        binary=True,
    )
    assert answer.status == 502
    assert "no-such_package" in answer.json["error"]
    assert "virtualenv" in answer.json["error"]
    assert py.logs()[1].endswith(END)


def test_requirements_that_are_in_the_archive(py: Guest) -> None:
    files = {
        "__main__.py": MAIN,
        "requirements.txt": "Some.Package>=1\n",
        "some_package-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: some-package\nVersion: 1.0\n",
    }
    py.must_init(zipped(files), binary=True)


@pytest.mark.parametrize("name", ["../evil.py", "/evil.py", "a/../../evil.py", "c:evil.py", "a\\..\\evil.py"])
def test_names_that_leave_the_folder(py: Guest, name: str) -> None:
    answer = py.init(zipped({"__main__.py": MAIN, name: "x"}), binary=True)
    assert answer.status == 502
    assert answer.json["error"] == f"The archive was refused: '{name}' leads out of its folder."
    assert not list(py.scratch.parent.rglob("evil.py"))


@pytest.mark.parametrize("kind", [stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_special_files(py: Guest, kind: int) -> None:
    answer = py.init(special("dev", kind), binary=True)
    assert (answer.status, answer.json) == (
        502,
        {"error": "The archive was refused: 'dev' is a special file."},
    )


def test_links_out_of_the_folder_are_left_out(py: Guest) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(
            "__main__.py",
            "import os\ndef main(args):\n    return sorted(os.listdir('.')) + sorted(os.listdir('d'))\n",
        )
        archive.writestr("d/file", "x")
        for name, target in (
            ("inside", "d/file"),
            ("out", "/etc/passwd"),
            ("up", "../.."),
            ("via", "out"),
            ("circle", "circle"),
            ("folder", "/etc"),
            ("folder/below", "passwd"),
            ("d/up", "../../../.."),
        ):
            archive.writestr(link(name), target)
    py.must_init(base64.b64encode(buffer.getvalue()).decode(), binary=True)
    left = set(py.run().json)
    assert {"inside", "file", "main__.py"} <= left
    assert left.isdisjoint({"out", "up", "folder", "below"})
    folder = py.scratch / "action" / "1"
    assert all(
        found.resolve().is_relative_to(folder.resolve())
        for found in folder.rglob("*")
        if found.name != "circle"
    )


def test_a_bomb(py: Guest) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("__main__.py", MAIN)
        for number in range(70_000):
            archive.writestr(f"{number}", "")
    answer = py.init(base64.b64encode(buffer.getvalue()).decode(), binary=True)
    assert (answer.status, answer.json) == (502, {"error": "The archive has more than 65535 entries."})


@pytest.mark.parametrize("cut", [4, 30, 60, -1, -10, -30])
def test_a_corrupt_archive(py: Guest, cut: int) -> None:
    whole = base64.b64decode(zipped({"__main__.py": MAIN * 20}))
    answer = py.init(base64.b64encode(whole[:cut]).decode(), binary=True)
    assert answer.status == 502
    assert re.match(r"The archive cannot be read|Zip file|The action failed", answer.json["error"]), answer
    assert py.logs()[1].endswith(END)
    py.must_init(MAIN)


def test_an_archive_whose_content_is_corrupt(py: Guest) -> None:
    data = bytearray(base64.b64decode(zipped({"__main__.py": MAIN * 20})))
    data[45] ^= 0xFF
    answer = py.init(base64.b64encode(bytes(data)).decode(), binary=True)
    assert answer.status == 502
    assert answer.json["error"].startswith("The archive cannot be read")


def test_a_library_of_preinstalled_packages(python: RuntimeInstallation, tmp_path: Path) -> None:
    library = tmp_path / "library"
    library.mkdir()
    (library / "preinstalled.py").write_text("NAME = 'preinstalled'")
    argv = (*python.argv, "--library", str(library))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with Guest(
        RuntimeInstallation(python.kind, "python", python.interpreter, python.proxy, argv), scratch
    ) as guest:
        guest.must_init("import preinstalled\ndef main(args):\n    return {'n': preinstalled.NAME}\n")
        assert guest.run().json == {"n": "preinstalled"}


def test_the_platforms_own_packages_are_out_of_sight(py: Guest) -> None:
    names = ["msgspec", "upwhisk", "upwhisk_guest", "python_proxy", "pip"]
    py.must_init(
        "import importlib.util, json\ndef main(args):\n"
        f"    return {{n: importlib.util.find_spec(n) is not None for n in {names!r} if n != 'upwhisk_guest'}}\n"
    )
    assert json.loads(py.run().text) == {
        "msgspec": False,
        "upwhisk": False,
        "python_proxy": False,
        "pip": False,
    }
