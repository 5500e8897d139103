"""Zip and tar.gz archives for the Node proxy."""

from __future__ import annotations

import base64
import io
import stat
import tarfile
import zipfile

import pytest
from contracts.runtimes.guest import END, Guest, zipped

FAILED = "Initialization has failed due to: "
UNREADABLE = FAILED + "There was an error uncompressing the action archive. "
FILES = {
    "package.json": '{"name": "x", "main": "lib/start.js"}',
    "lib/start.js": "const dep = require('dep');\nexports.main = () => ({ dep: dep(), cwd: process.cwd() });\n",
    "node_modules/dep/package.json": '{"name": "dep", "main": "d.js"}',
    "node_modules/dep/d.js": "module.exports = () => '❄';\n",
}


def tarred(files: dict[str, str], links: dict[str, str] | None = None) -> str:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type = tarfile.SYMTYPE
            info.linkname = target
            archive.addfile(info)
    return base64.b64encode(buffer.getvalue()).decode()


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_a_package_with_its_dependencies(js: Guest, pack: object) -> None:
    assert callable(pack)
    js.must_init(pack(FILES), binary=True)
    assert js.run().json == {"dep": "❄", "cwd": str(js.scratch.resolve() / "action")}


def test_an_index_file_and_another_entry(js: Guest) -> None:
    js.must_init(zipped({"index.js": "exports.niam = () => ({ a: 1 });"}), binary=True, main="niam")
    assert js.run().json == {"a": 1}


def test_an_entry_in_a_file(js: Guest) -> None:
    js.must_init(zipped({"lib/foo.js": "exports.run = () => ({ a: 1 });"}), binary=True, main="lib/foo.run")
    assert js.run().json == {"a": 1}


@pytest.mark.parametrize("name", ["index.mjs", "index.js"])
def test_modules_of_the_new_kind(js: Guest, name: str) -> None:
    js.must_init(
        zipped(
            {
                "package.json": f'{{"type": "module", "main": "{name}"}}',
                name: "export const main = () => ({ a: 1 });",
            }
        ),
        binary=True,
    )
    assert js.run().json == {"a": 1}


def test_neither_package_nor_index(js: Guest) -> None:
    answer = js.init(zipped({"other.js": ""}), binary=True)
    assert (answer.status, answer.json) == (
        502,
        {"error": FAILED + "Zipped actions must contain either package.json or index.js at the root."},
    )
    assert js.logs() == (END, END)


@pytest.mark.parametrize("code", ["!!", base64.b64encode(b"plain text").decode()])
def test_what_is_no_archive(js: Guest, code: str) -> None:
    answer = js.init(code, binary=True)
    assert (answer.status, answer.json) == (502, {"error": UNREADABLE + "The file type is unsupported"})


def test_missing_dependencies_say_what_to_do(js: Guest) -> None:
    answer = js.init(zipped({k: v for k, v in FILES.items() if "node_modules" not in k}), binary=True)
    assert answer.json["error"].startswith(FAILED + "Error: Cannot find module 'dep'")
    assert "ship node_modules" in js.logs()[1]


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize("name", ["../evil.js", "/evil.js", "a/../../evil.js", "a\\evil.js", "c:evil.js"])
def test_names_that_leave_the_folder(js: Guest, name: str, pack: object) -> None:
    assert callable(pack)
    answer = js.init(pack({"index.js": "", name: "x"}), binary=True)
    assert (answer.status, answer.json) == (
        502,
        {"error": f"{FAILED}The archive was refused: '{name}' leads out of its folder."},
    )
    assert not list(js.scratch.parent.rglob("evil.js"))


def test_links_out_of_the_folder_are_left_out(js: Guest) -> None:
    links = {
        "in": "index.js",
        "out": "/etc/passwd",
        "up": "../..",
        "via": "out",
        "d": "/etc",
        "d/below": "x",
        "circle": "circle",
    }
    code = "exports.main = () => require('fs').readdirSync('.').sort();"
    js.must_init(tarred({"index.js": code}, links), binary=True)
    left = set(js.run().json)
    assert {"in", "index.js"} <= left
    assert left.isdisjoint({"out", "up", "d"})


def test_links_of_zips(js: Guest) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("index.js", "exports.main = () => require('fs').readdirSync('.').sort();")
        for name, target in (("in", "index.js"), ("out", "/etc/passwd")):
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, target)
    js.must_init(base64.b64encode(buffer.getvalue()).decode(), binary=True)
    assert js.run().json == ["in", "index.js"]


def test_special_files(js: Guest) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        info = tarfile.TarInfo("dev")
        info.type = tarfile.CHRTYPE
        archive.addfile(info)
    answer = js.init(base64.b64encode(buffer.getvalue()).decode(), binary=True)
    assert answer.json == {"error": f"{FAILED}The archive was refused: 'dev' is a special file."}


@pytest.mark.parametrize("cut", [10, 40, 80, -1, -20, -60])
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_a_corrupt_archive(js: Guest, pack: object, cut: int) -> None:
    assert callable(pack)
    whole = base64.b64decode(pack({"index.js": "exports.main = () => ({});" * 20, "b.js": "x" * 500}))
    answer = js.init(base64.b64encode(whole[:cut]).decode(), binary=True)
    assert answer.status == 502
    assert answer.json["error"].startswith(UNREADABLE)


def test_a_long_name_in_a_tar(js: Guest) -> None:
    name = "/".join(["directory"] * 30) + "/file.js"
    for style in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz", format=style) as archive:
            for file, text in (
                ("index.js", f"exports.main = require('./{name}').main;"),
                (name, "exports.main = () => ({ a: 1 });"),
            ):
                info = tarfile.TarInfo(file)
                info.size = len(text)
                archive.addfile(info, io.BytesIO(text.encode()))
        code = base64.b64encode(buffer.getvalue()).decode()
        if style == tarfile.PAX_FORMAT:
            js.must_init(code, binary=True)
    assert js.run().json == {"a": 1}
