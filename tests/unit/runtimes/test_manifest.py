"""Kinds, defaults and what of them a node can run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from upwhisk.common.errors import ConfigurationError
from upwhisk.runtimes.discover import Interpreters
from upwhisk.runtimes.manifest import Manifest, default_python

NODE = Path("/opt/node")


def node_with(*minors: int, nodes: tuple[int, ...] = (20,)) -> Interpreters:
    return Interpreters({(3, n): Path(f"/opt/python3.{n}") for n in minors}, dict.fromkeys(nodes, NODE))


def write(folder: Path, runtimes: dict[str, Any], **more: Any) -> Path:
    file = folder / "runtimes.json"
    file.write_text(json.dumps({"runtimes": runtimes, **more}))
    return file


@pytest.mark.parametrize(
    ("minors", "default"),
    [
        ((10, 11, 12, 13), "python:3.13"),
        ((11, 14), "python:3.11"),
        ((10, 14), "python:3.14"),
        ((10,), "python:3.10"),
        ((), None),
    ],
)
def test_the_default_is_the_newest_that_the_platform_supports(
    minors: tuple[int, ...], default: str | None
) -> None:
    interpreters = node_with(*minors)
    assert default_python(interpreters) == default
    manifest = Manifest.load(None, interpreters)
    for name in ("python:default", "python:3", " Python:Default "):
        assert manifest.resolve(name) == default


def test_resolution() -> None:
    manifest = Manifest.load(None, node_with(11))
    assert manifest.resolve(" NodeJS:20 ") == "nodejs:20"
    assert manifest.resolve("nodejs:default") == "nodejs:20"
    assert manifest.resolve("python:3.12") == "python:3.12"
    assert manifest.resolve("blackbox") == "blackbox"
    for unknown in ("", "python", "python:2", "go:1.20", "nodejs:3", "python:3.14", "sequence", ":default"):
        assert manifest.resolve(unknown) is None


def test_before_anybody_looked_there_is_no_default_python() -> None:
    manifest = Manifest.load()
    assert manifest.resolve("python:default") is None
    assert manifest.resolve("python:3.11") == "python:3.11"
    assert manifest.all_missing() == {}


def test_a_python_that_the_manifest_does_not_name_gets_a_kind() -> None:
    manifest = Manifest.load(None, node_with(11, 14))
    assert "python:3.14" in manifest.kinds
    assert manifest.installations()["python:3.14"].interpreter == Path("/opt/python3.14")


def test_installations_begin_with_the_default_and_end_with_native() -> None:
    found = Manifest.load(None, node_with(10, 11, 12)).installations(library=Path("/lib/packages"))
    assert list(found) == ["python:3.12", "python:3.10", "python:3.11", "nodejs:20", "blackbox"]
    python, native = found["python:3.11"], found["blackbox"]
    assert python.library == Path("/lib/packages")
    assert python.argv[-2:] == ("--library", "/lib/packages")
    assert python.preload
    assert native.interpreter == Path("/opt/python3.12")
    assert native.library is None
    assert all(one.proxy.is_file() and one.argv[0] == str(one.interpreter) for one in found.values())


def test_what_is_missing_is_named() -> None:
    manifest = Manifest.load(None, node_with(11, nodes=(22,)))
    missing = manifest.all_missing()
    assert set(missing) == {"python:3.10", "python:3.12", "python:3.13", "nodejs:20"}
    assert "python3.12" in missing["python:3.12"]
    assert "node version 20" in missing["nodejs:20"]
    assert set(Manifest.load(None, Interpreters()).all_missing()) >= {"blackbox", "python:3.11"}


def test_prewarming_is_for_the_default_alone() -> None:
    assert Manifest.load(None, node_with(11, 12)).prewarm() == {"python:3.12": 1}
    assert Manifest.load(None, Interpreters()).prewarm() == {}


def test_what_the_api_shows() -> None:
    public = Manifest.load(None, node_with(11, 12)).to_public()
    assert list(public) == ["python", "nodejs"]
    assert public["python"] == [
        {
            "kind": f"python:3.{n}",
            "image": f"openwhisk/action-python-v3.{n}:nightly",
            "deprecated": False,
            "default": n == 12,
            "attached": True,
            "requireMain": False,
        }
        for n in (11, 12)
    ]


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        {
            "python": [
                {
                    "kind": "Python:3.11",
                    "default": True,
                    "image": {"name": "mine"},
                    "stemCells": [{"count": 2, "memory": "1 GB"}, {"initialCount": 1, "memory": "256m"}],
                },
                {
                    "kind": "python:3.12",
                    "image": {"prefix": "p", "name": "n", "tag": "t"},
                    "deprecated": True,
                },
            ],
            "java": [
                {"kind": "java:8", "requireMain": True, "sentinelledLogs": False, "image": {"name": "java"}}
            ],
        },
        defaultImagePrefix="openwhisk",
        defaultImageTag="nightly",
        blackboxes=[{"name": "dockerskeleton"}],
    )
    manifest = Manifest.load(file, node_with(11, 12))
    assert manifest.resolve("python:3") == "python:3.11"
    assert manifest.resolve("java:default") == "java:8"
    assert manifest.kinds["python:3.11"].image == "openwhisk/mine:nightly"
    assert manifest.kinds["python:3.12"].image == "p/n:t"
    assert manifest.is_deprecated("python:3.12")
    assert not manifest.is_deprecated("python:3.11")
    assert manifest.require_main("java:8")
    assert not manifest.require_main("go:1")
    assert [(cell.count, cell.memory_mb) for cell in manifest.stem_cells("python:3.11")] == [
        (2, 1024),
        (1, 256),
    ]
    assert manifest.stem_cells("go:1") == ()
    assert manifest.blackboxes == {"openwhisk/dockerskeleton:nightly"}
    assert "java:8" not in manifest.installations()
    assert "java:8" in manifest.all_missing()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"runtimes": {"python": [{}]}}',
        '{"runtimes": {"python": [{"kind": "python:3.11", "image": {"name": "x"}, "stemCells": [{"memory": "much"}]}]}}',
    ],
)
def test_a_file_that_is_no_manifest(tmp_path: Path, text: str) -> None:
    file = tmp_path / "runtimes.json"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=r"guest\.runtimes"):
        Manifest.load(file)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        Manifest.load(tmp_path / "none.json")
