from __future__ import annotations

import pytest
from cli.command import Command


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_scripts(upwhisk: Command, shell: str) -> None:
    done = await upwhisk("completion", shell)
    assert done.code == 0
    assert f"_UPWHISK_COMPLETE={shell}_complete" in done.out


async def test_a_script_as_data(upwhisk: Command) -> None:
    done = await upwhisk("completion", "bash", "--output", "json")
    assert done.data["shell"] == "bash"
    assert "_UPWHISK_COMPLETE=bash_complete" in done.data["script"]


async def _offered(command: Command, line: str) -> list[str]:
    command.environment |= {
        "_UPWHISK_COMPLETE": "bash_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": str(line.count(" ")),
    }
    done = await command()
    assert (done.code, done.err) == (0, "")
    return [row.partition(",")[2] for row in done.lines if row]


async def test_commands_and_flags(upwhisk: Command) -> None:
    assert await _offered(upwhisk, "upwhisk act") == ["action", "activation"]
    assert await _offered(upwhisk, "upwhisk action in") == ["invoke"]
    assert await _offered(upwhisk, "upwhisk action invoke --re") == ["--result"]


async def test_names_come_from_the_platform(upwhisk: Command) -> None:
    (upwhisk.folder / "x.py").write_text("x")
    for arguments in ("package create pkg", "action create pkg/inner x.py", "action create hello x.py", "trigger create t"):
        assert (await upwhisk(*arguments.split())).code == 0
    assert sorted(await _offered(upwhisk, "upwhisk action get ")) == ["hello", "pkg/inner"]
    assert await _offered(upwhisk, "upwhisk action get pk") == ["pkg/inner"]
    assert await _offered(upwhisk, "upwhisk rule create r ") == ["t"]
    assert await _offered(upwhisk, "upwhisk rule create r t h") == ["hello"]


async def test_a_platform_out_of_reach_offers_nothing(upwhisk: Command) -> None:
    upwhisk.url = "http://127.0.0.1:1"
    assert await _offered(upwhisk, "upwhisk action get ") == []
