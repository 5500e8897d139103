"""Settings: sources, precedence, refusals, and that the docs name every one."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from upwhisk.common.errors import ConfigurationError
from upwhisk.common.settings import Settings
from upwhisk.common.settings_file import load_settings

DOCS = Path(__file__).resolve().parents[3] / "docs/settings.md"


def test_defaults() -> None:
    assert load_settings(None, {}) == Settings()


def test_variables_win_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('[server]\nport = 1\nhost = "::1"\n[guest]\nallow = ["10.0.0.0/8"]\n')
    settings = load_settings(file, {"UPWHISK_SERVER_PORT": "2", "OTHER": "x", "UPWHISK_GUEST_ALLOW": "a, b"})
    assert (settings.server.port, settings.server.host) == (2, "::1")
    assert settings.guest.allow == ("a", "b")
    assert load_settings(file, {}).guest.allow == ("10.0.0.0/8",)


@pytest.mark.parametrize(
    ("toml", "variables", "says"),
    [
        ("[server]\nprot = 1\n", {}, "setting server: Object contains unknown field `prot`; there are cert_file, disable_token_file, drain_s, header_timeout_s, host"),
        ("[servre]\nport = 1\n", {}, "unknown field `servre`; there are consul, controller, couchdb"),
        ("[log]\nformat = 'xml'\n", {}, "setting log.format: Invalid enum value 'xml'; choose one of auto, text, json"),
        ("[node]\nlease_s = 0\n", {}, "setting node.lease_s"),
        ("[controller]\nlease_s = 0\n", {}, "setting controller.lease_s"),
        ("[controller]\nleave_s = -1\n", {}, "setting controller.leave_s"),
        ("[controller]\nname = 'a/b'\n", {}, "setting controller.name"),
        ("[server]\nport = 70000\n", {}, "setting server.port"),
        ("[server\n", {}, "is not TOML"),
        ("", {"UPWHISK_SERVER_PORT": "abc"}, "setting server.port: Expected `int`, got `str` (UPWHISK_SERVER_PORT is 'abc')"),
        ("", {"UPWHISK_LOG_FORMAT": "xml"}, "choose one of auto, text, json (UPWHISK_LOG_FORMAT is 'xml')"),
        ("", {"UPWHISK_SERVER": "x"}, "UPWHISK_SERVER: no such setting; tables are"),
        ("", {"UPWHISK_POOL_SIZE": "1"}, "UPWHISK_POOL_SIZE: no such setting; pool has"),
        ("", {"UPWHISK_POOL_STARTS_AT_ONCE": "0"}, "setting pool.starts_at_once"),
        ("server = 1\n", {}, "setting server"),
        ("[limits]\nmemory = {max = 100}\n", {}, "setting limits.memory: expected 0 <= min <= default <= max, got 128, 256, 100"),
        ("[limits]\nmemory = {maximum = 1024}\n", {}, "setting limits.memory: Object contains unknown field `maximum`"),
        ("[limits]\nmemory = 1024\n", {}, "setting limits.memory"),
        ("[limits]\njson_depth = 100000\n", {}, "setting limits.json_depth"),
        ("[limits]\nbody_bytes = 0\n", {}, "setting limits.body_bytes"),
        ("[server]\nheader_timeout_s = 0\n", {}, "setting server.header_timeout_s"),
        ("[node]\nmemory_mb = 10\n", {}, "setting node.memory_mb: expected 0 (half of the machine's) or at least 128"),
        ("[node]\nname = ''\n", {}, "setting node.name"),
        ("[node]\nname = 'a/b'\n", {}, "setting node.name"),
        ("[node]\nname = '..'\n", {}, "setting node.name"),
        ("[controller]\nname = '.'\n", {}, "setting controller.name"),
        ("[docker]\nregistries = ['ghcr.io', 'acme']\n", {}, "setting docker.registries"),
        ("[docker]\nregistries = ['https://ghcr.io']\n", {}, "setting docker.registries"),
        ("", {"UPWHISK_DOCKER_REGISTRIES": "ghcr.io,Ghcr.io/"}, "setting docker.registries"),
        ("[plugins]\nforecaster = 'gbrt'\n", {}, "setting plugins.forecaster: 'gbrt' is unknown; available: persistence"),
    ],
)
def test_refusals_name_the_setting(tmp_path: Path, toml: str, variables: dict[str, str], says: str) -> None:
    file = tmp_path / "c.toml"
    file.write_text(toml)
    with pytest.raises(ConfigurationError) as caught:
        load_settings(file, variables)
    assert says in str(caught.value)


@pytest.mark.parametrize("name", ["a/b", "", "x" * 129])
def test_flags_win_and_are_checked_too(tmp_path: Path, name: str) -> None:
    file = tmp_path / "c.toml"
    file.write_text("[node]\nname = 'file'\nkind = 'harvest'\n")
    given = {"node.name": "flag", "node.kind": None}
    node = load_settings(file, {"UPWHISK_NODE_NAME": "variable"}, given).node
    assert (node.name, node.kind) == ("flag", "harvest")
    with pytest.raises(ConfigurationError, match=r"setting node\.name") as caught:
        load_settings(file, {"UPWHISK_NODE_NAME": "variable"}, {"node.name": name})
    assert "UPWHISK_NODE_NAME" not in str(caught.value)


def test_who_changes_one_end_of_a_range_keeps_the_rest(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text("[limits]\nmemory = {max = 1024}\nlogs = {default = 1}\ncode_bytes = 5\n")
    limits = load_settings(file, {}).limits
    assert (limits.memory.min, limits.memory.default, limits.memory.max) == (128, 256, 1024)
    assert (limits.logs.default, limits.logs.max, limits.code_bytes) == (1, 10, 5)
    assert limits.timeout == Settings().limits.timeout


@given(st.text(max_size=200))
def test_any_file_gives_settings_or_a_configuration_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.mktemp("settings") / "c.toml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        settings = load_settings(file, {})
    except ConfigurationError:
        return
    assert isinstance(settings, Settings)


def test_the_docs_name_every_setting() -> None:
    text = DOCS.read_text()
    for section in msgspec.structs.fields(Settings):
        for field in msgspec.structs.fields(section.type):
            name = field.encode_name if section.name == "limits" else f"{section.name}.{field.encode_name}"
            assert f"`{name}`" in text, name
