from __future__ import annotations

from pathlib import Path

import pytest
from cli.command import Command


@pytest.fixture
def bare(tmp_path: Path) -> Command:
    return Command(tmp_path)


async def test_properties_are_written_shown_and_removed(bare: Command) -> None:
    done = await bare("property", "set", "--apihost", "http://h:1", "-u", "a:b", "--apiversion", "v1", "--cert", "c")
    assert done.code == 0
    assert sorted(done.lines) == [
        "ok: client cert set. Run 'upwhisk property get --cert' to see the new value.",
        "ok: whisk API host set to http://h:1",
        "ok: whisk API version set to v1",
        "ok: whisk auth set. Run 'upwhisk property get --auth' to see the new value.",
    ]
    file = bare.folder / ".wskprops"
    assert sorted(file.read_text().splitlines()) == ["APIHOST=http://h:1", "APIVERSION=v1", "AUTH=a:b", "CERT=c"]
    assert file.stat().st_mode & 0o777 == 0o600
    assert (await bare("property", "get", "--auth")).out == "whisk auth\t\ta:b\n"
    assert (await bare("property", "get", "--apihost", "--apiversion")).out == (
        "whisk API host\t\thttp://h:1\nwhisk API version\tv1\n"
    )
    assert (await bare("property", "get", "--auth", "--output", "raw")).out == "a:b\n"
    assert (await bare("property", "get", "--auth", "--output", "json")).data == {"auth": "a:b"}
    done = await bare("property", "unset", "--auth", "--apihost", "--apiversion", "--cert")
    assert sorted(done.lines) == [
        "ok: client cert unset.",
        "ok: whisk API host unset.",
        "ok: whisk API version unset; the default value of v1 will be used.",
        "ok: whisk auth unset.",
    ]
    assert file.read_text() == ""


async def test_the_file_may_be_elsewhere(bare: Command) -> None:
    bare.environment["WSK_CONFIG_FILE"] = str(bare.folder / "props")
    (bare.folder / "props").write_text("AUTH=from:file\n")
    assert (await bare("property", "get", "--auth")).out == "whisk auth\t\tfrom:file\n"
    bare.environment["WHISK_AUTH"] = "from:environment"
    assert (await bare("property", "get", "--auth")).out == "whisk auth\t\tfrom:environment\n"


async def test_a_host_that_is_none_is_not_stored(bare: Command) -> None:
    done = await bare("property", "set", "--apihost", "ftp://h")
    assert done.code == 1
    assert done.err.startswith("error: Unable to set API host value; the API host value 'ftp://h' is invalid: ")
    assert not (bare.folder / ".wskprops").exists()


async def test_a_namespace_is_asked_for_with_what_the_same_command_sets(bare: Command, upwhisk: Command) -> None:
    without = await bare("property", "set", "--namespace", "guest")
    assert without.code != 0
    assert "An API host must be provided" in without.err
    key = upwhisk.key
    done = await bare("property", "set", "--namespace", "guest", "--apihost", upwhisk.url, "--auth", key)
    assert (done.code, done.err) == (0, "")
    done = await upwhisk("property", "set", "--namespace", "another")
    assert "Namespace 'another' is not in the list of entitled namespaces" in done.err


async def test_everything(upwhisk: Command) -> None:
    done = await upwhisk("property", "get")
    assert done.code == 0
    shown = dict(line.split("\t", 1) for line in done.lines)
    assert shown["whisk namespace"].strip() == "guest"
    assert shown["whisk API host"].strip() == upwhisk.url
    assert shown["whisk API build"].strip()


async def test_a_platform_out_of_reach_fails_after_printing(tmp_path: Path) -> None:
    done = await Command(tmp_path, "http://127.0.0.1:1")("property", "get")
    assert done.code == 3
    assert "whisk namespace\t\t_" in done.lines
    assert "whisk API build\t\tUnknown" in done.lines
    assert done.err.startswith("error: Unable to obtain API build information: ")
