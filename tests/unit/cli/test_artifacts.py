from __future__ import annotations

import base64
import io
import zipfile
from pathlib import Path

import pytest

from upwhisk.cli.artifacts import ExecFlags, changed_exec, exec_of, save_code
from upwhisk.cli.failure import Failure


def _file(folder: Path, name: str, data: bytes = b"code") -> str:
    path = folder / name
    path.write_bytes(data)
    return str(path)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.js", "nodejs:default"),
        ("a.py", "python:default"),
        ("a.swift", "swift:default"),
        ("a.php", "php:default"),
        ("a.rb", "ruby:default"),
        ("a.rs", "rust:default"),
        ("a.go", "go:default"),
    ],
)
def test_the_extension_tells_the_kind(tmp_path: Path, name: str, kind: str) -> None:
    assert exec_of(ExecFlags(_file(tmp_path, name)), "_") == {"kind": kind, "code": "code"}


@pytest.mark.parametrize(("name", "kind"), [("a.jar", "java:default"), ("a.balx", "ballerina:default")])
def test_archives_are_sent_as_base64(tmp_path: Path, name: str, kind: str) -> None:
    found = exec_of(ExecFlags(_file(tmp_path, name, b"\0\xff"), main="Hello"), "_")
    assert found == {"kind": kind, "code": base64.b64encode(b"\0\xff").decode(), "main": "Hello"}


def test_a_zip_needs_a_kind(tmp_path: Path) -> None:
    artifact = _file(tmp_path, "a.zip", b"PK")
    with pytest.raises(Failure, match="requires specifying the action kind explicitly"):
        exec_of(ExecFlags(artifact), "_")
    encoded = base64.b64encode(b"PK").decode()
    assert exec_of(ExecFlags(artifact, kind="python:3"), "_") == {"kind": "python:3", "code": encoded}
    native = {"kind": "blackbox", "code": encoded, "image": "openwhisk/dockerskeleton"}
    assert exec_of(ExecFlags(artifact, native=True), "_") == native
    assert exec_of(ExecFlags(artifact, docker="me/img"), "_") == {**native, "image": "me/img"}


def test_an_image_needs_no_code() -> None:
    assert exec_of(ExecFlags(docker="me/img"), "_") == {"kind": "blackbox", "image": "me/img"}
    assert exec_of(ExecFlags(), "_") == {}


def test_what_is_said_of_code_that_is_there() -> None:
    old = {"kind": "python:3.11", "code": "c", "binary": False, "main": "go"}
    assert changed_exec(old, ExecFlags()) == old
    assert changed_exec(old, ExecFlags(main="run")) == {**old, "main": "run"}
    assert changed_exec(old, ExecFlags(kind="python:3.12")) == {**old, "kind": "python:3.12"}
    native = {**old, "kind": "blackbox", "image": "openwhisk/dockerskeleton"}
    assert changed_exec(old, ExecFlags(native=True)) == native
    assert changed_exec(native, ExecFlags(kind="python:3.11")) == old
    assert changed_exec({**native, "image": "me/img"}, ExecFlags(main="run")) == {**native, "image": "me/img", "main": "run"}
    sequence = {"kind": "sequence", "components": ["/_/a"]}
    assert changed_exec(sequence, ExecFlags()) == sequence
    for flags in (ExecFlags(kind="k"), ExecFlags(main="m"), ExecFlags(native=True)):
        with pytest.raises(Failure, match="A sequence has no code") as refused:
            changed_exec(sequence, flags)
        assert refused.value.code == 2


def test_a_native_script_is_text_and_a_program_is_wrapped(tmp_path: Path) -> None:
    script = exec_of(ExecFlags(_file(tmp_path, "s.sh", b"#!/bin/sh\n"), native=True), "_")
    assert script == {"kind": "blackbox", "code": "#!/bin/sh\n", "image": "openwhisk/dockerskeleton"}
    program = b"\x7fELF\x02\xff"
    wrapped = exec_of(ExecFlags(_file(tmp_path, "prog", program), native=True), "_")
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(wrapped["code"]))) as archive:
        assert archive.read("exec") == program
        assert archive.getinfo("exec").external_attr >> 16 & 0o111


@pytest.mark.parametrize(
    ("entry", "kind"),
    [("package.json", "nodejs:default"), ("__main__.py", "python:default"), ("exec", "blackbox")],
)
def test_a_folder_is_sent_as_a_zip(tmp_path: Path, entry: str, kind: str) -> None:
    _file(tmp_path, entry)
    (tmp_path / "lib").mkdir()
    _file(tmp_path / "lib", "more.txt", b"more")
    found = exec_of(ExecFlags(str(tmp_path)), "_")
    assert found["kind"] == kind
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(found["code"]))) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {entry: b"code", "lib/more.txt": b"more"}
    assert exec_of(ExecFlags(str(tmp_path)), "_") == found, "the same files give the same archive"


def test_a_folder_that_says_nothing_is_refused(tmp_path: Path) -> None:
    _file(tmp_path, "readme.txt")
    with pytest.raises(Failure, match=r"package\.json, __main__\.py, exec"):
        exec_of(ExecFlags(str(tmp_path)), "_")


def test_sequences_name_their_actions_fully() -> None:
    found = exec_of(ExecFlags("a,/ns/b, p/c", sequence=True), "_")
    assert found == {"kind": "sequence", "components": ["/_/a", "/ns/b", "/_/p/c"]}
    with pytest.raises(Failure, match="An action name and code artifact are required"):
        exec_of(ExecFlags(sequence=True), "_")


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(Failure) as both:
        exec_of(ExecFlags("a.py", kind="k", docker="d"), "_")
    assert (both.value.code, both.value.text) == (
        149,
        "Invalid argument(s). Cannot specify both --kind and --docker at the same time.",
    )
    with pytest.raises(Failure, match=r"'\.txt' is not a supported action runtime"):
        exec_of(ExecFlags(_file(tmp_path, "a.txt")), "_")
    with pytest.raises(Failure, match="is not UTF-8 text"):
        exec_of(ExecFlags(_file(tmp_path, "a.py", b"\xff")), "_")


def test_code_is_saved_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    action = {"name": "hi", "exec": {"kind": "python:3.11", "code": "x = 'ä'", "binary": False}}
    assert save_code(action, "") == str(tmp_path / "hi.py")
    assert (tmp_path / "hi.py").read_text() == "x = 'ä'"
    with pytest.raises(Failure, match=r"The file 'hi\.py' already exists"):
        save_code(action, "")
    binary = {"name": "z", "exec": {"kind": "nodejs:20", "code": base64.b64encode(b"\0PK").decode(), "binary": True}}
    assert save_code(binary, "") == str(tmp_path / "z.zip")
    assert (tmp_path / "z.zip").read_bytes() == b"\0PK"


def test_what_has_no_code_cannot_be_saved() -> None:
    with pytest.raises(Failure, match=r"^Cannot save action sequences$"):
        save_code({"name": "s", "exec": {"kind": "sequence", "components": []}}, "")
    with pytest.raises(Failure, match=r"^Cannot save Docker images$"):
        save_code({"name": "d", "exec": {"kind": "blackbox", "image": "i", "binary": False}}, "")
