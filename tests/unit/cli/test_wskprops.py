from __future__ import annotations

from pathlib import Path

import pytest

from upwhisk.cli.failure import Failure
from upwhisk.cli.wskprops import change_props, parse_props, props_path, read_props, resolve


def test_lines_with_exactly_one_equals_sign_count() -> None:
    text = "APIHOST=http://h:1\nAUTH = a:b \n# AUTH=c:d\nBAD=x=y\nnothing\n\nEMPTY=\n"
    assert parse_props(text) == {"APIHOST": "http://h:1", "AUTH": "a:b", "EMPTY": ""}


def test_a_missing_file_is_empty(tmp_path: Path) -> None:
    assert read_props(str(tmp_path / "none")) == {}


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "props"
    path.write_bytes(b"AUTH=\xff\xfe")
    with pytest.raises(Failure, match="not UTF-8"):
        read_props(str(path))


def test_changing_keeps_other_lines_and_makes_the_file_private(tmp_path: Path) -> None:
    path = tmp_path / ".wskprops"
    path.write_text("# mine\nAPIHOST=old\nOTHER=1\nAUTH=a:b\n")
    change_props(str(path), {"APIHOST": "new", "AUTH": None})
    assert path.read_text() == "# mine\nOTHER=1\nAPIHOST=new\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_changing_follows_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_text("")
    link.symlink_to(real)
    change_props(str(link), {"AUTH": "a:b"})
    assert link.is_symlink()
    assert real.read_text() == "AUTH=a:b\n"


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="Unable to set the property"):
        change_props(str(tmp_path / "no" / "props"), {"AUTH": "x"})


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "props"
    path.write_text("APIHOST=file\nAUTH=file\nAPIVERSION=v2\nNAMESPACE=mine\nCERT=c\nKEY=k\n")
    environ = {"WSK_CONFIG_FILE": str(path), "WHISK_APIHOST": "environment", "WHISK_AUTH": "environment"}
    found = resolve({"auth": "flag", "api_host": ""}, environ)
    assert (found.api_host, found.auth, found.api_version) == ("environment", "flag", "v2")
    assert (found.namespace, found.cert, found.key) == ("mine", "c", "k")


def test_what_nobody_sets_has_defaults(tmp_path: Path) -> None:
    found = resolve({}, {"HOME": str(tmp_path)})
    assert (found.api_host, found.auth, found.api_version, found.namespace) == ("", "", "v1", "_")
    assert props_path({"HOME": "/h"}) == "/h/.wskprops"
