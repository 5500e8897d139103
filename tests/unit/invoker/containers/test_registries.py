"""Where an image comes from, as an engine reads its name, and whether it may."""

from __future__ import annotations

import pytest

from upwhisk.invoker.containers.docker.registries import full_name, refusal

DIGEST = f"@sha256:{'0' * 64}"


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("python", "docker.io/library/python"),
        ("python:3.12", "docker.io/library/python"),
        ("me/mine", "docker.io/me/mine"),
        ("me/mine:1.2", "docker.io/me/mine"),
        ("docker.io/python", "docker.io/library/python"),
        ("index.docker.io/me/mine", "docker.io/me/mine"),
        ("ghcr.io/acme/a/b:1" + DIGEST, "ghcr.io/acme/a/b"),
        ("GHCR.io/acme/a", "ghcr.io/acme/a"),
        ("198.51.100.1:5000/x1", "198.51.100.1:5000/x1"),
        ("registry:5000/x:1", "registry:5000/x"),
        ("localhost/x", "localhost/x"),
        ("Registry/x", "registry/x"),
    ],
)
def test_a_name_is_read_as_the_engine_reads_it(image: str, name: str) -> None:
    assert full_name(image) == name


@pytest.mark.parametrize(
    ("image", "allowed", "is_refused"),
    [
        ("anywhere.example/x", (), False),
        ("ghcr.io/acme/x", ("ghcr.io",), False),
        ("ghcr.io/acme/x", ("quay.io", "ghcr.io/acme"), False),
        ("ghcr.io/acme/x:1", ("ghcr.io/acme/x",), False),
        ("ghcr.io/acme-evil/x", ("ghcr.io/acme",), True),
        ("ghcr.io.evil.example/acme/x", ("ghcr.io",), True),
        ("ghcr.io:5000/acme/x", ("ghcr.io",), True),
        ("registry.acme.org:5000/x", ("registry.acme.org:5000",), False),
        ("registry.acme.org/x", ("registry.acme.org:5000",), True),
        ("me/mine", ("ghcr.io",), True),
        ("me/mine", ("docker.io/me",), False),
        ("ghcr.io/x", ("docker.io",), True),
        ("Ghcr/io/x", ("docker.io",), True),
        ("python" + DIGEST, ("docker.io/library",), False),
    ],
)
def test_an_image_is_taken_from_what_is_allowed(image: str, allowed: tuple[str, ...], is_refused: bool) -> None:
    said = refusal(image, allowed)
    assert (said is not None) is is_refused
    if said is not None:
        assert said.endswith(f"images may come from: {', '.join(allowed)}")
