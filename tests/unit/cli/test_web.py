from __future__ import annotations

import pytest

from upwhisk.cli.failure import Failure
from upwhisk.cli.parameters import KeyValues, lookup
from upwhisk.cli.web import removed_secret, web_annotations


def _as_dict(annotations: KeyValues) -> dict[str, object]:
    return {entry["key"]: entry["value"] for entry in annotations}


@pytest.mark.parametrize(
    ("mode", "export", "raw", "final"),
    [
        ("true", True, False, True),
        ("YES", True, False, True),
        ("raw", True, True, True),
        ("no", False, False, False),
        ("False", False, False, False),
    ],
)
def test_modes(mode: str, export: bool, raw: bool, final: bool) -> None:
    found = _as_dict(web_annotations([], None, mode, None))
    assert found == {"web-export": export, "raw-http": raw, "final": final}


def test_the_old_annotations_are_sent_again_below_the_new() -> None:
    old = [{"key": "a", "value": 1}, {"key": "b", "value": 1}, {"key": "final", "value": False}]
    found = _as_dict(web_annotations([{"key": "b", "value": 2}], old, "true", None))
    assert found == {"a": 1, "b": 2, "web-export": True, "raw-http": False, "final": True}


def test_without_the_flags_only_the_new_ones_are_sent() -> None:
    assert web_annotations([{"key": "b", "value": 2}], [{"key": "a", "value": 1}], None, None) == [{"key": "b", "value": 2}]


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(Failure) as caught:
        web_annotations([], None, "maybe", None)
    assert caught.value.text.endswith(
        "Invalid argument 'maybe' for --web flag. Valid input consist of 'yes', 'true', 'raw', 'false', or 'no'."
    )


def test_secrets() -> None:
    made = lookup(web_annotations([], None, "true", "true"), "require-whisk-auth")
    assert isinstance(made, int)
    assert 0 <= made < 2**53
    old = web_annotations([], None, "true", "true")
    assert web_annotations([], old, None, "true") == old, "a random secret that is there already is kept"
    assert lookup(web_annotations([], old, None, "text"), "require-whisk-auth") == "text"
    gone = web_annotations([], old, None, "false")
    assert lookup(gone, "require-whisk-auth") is None
    assert removed_secret(gone, old, "false") == ("require-whisk-auth",)
    assert removed_secret(old, old, None) == ()


def test_a_secret_needs_a_web_action() -> None:
    with pytest.raises(Failure, match="only valid when the --web option is enabled"):
        web_annotations([], [{"key": "web-export", "value": False}], None, "true")
