"""Which registries the images that actions name may come from. Pure."""

from __future__ import annotations

from collections.abc import Sequence

_HUB = "docker.io"


def full_name(image: str) -> str:
    """With its registry, as an engine reads it, without tag and digest."""
    name = image.partition("@")[0]
    registry, slash, path = name.partition("/")
    if not slash or not _is_registry(registry):
        registry, path = _HUB, name
    registry = registry.lower()
    if registry in (_HUB, f"index.{_HUB}"):
        registry = _HUB
        path = path if "/" in path else f"library/{path}"
    return f"{registry}/{path.partition(':')[0]}"


def _is_registry(text: str) -> bool:
    return "." in text or ":" in text or text == "localhost" or text != text.lower()


def refusal(image: str, allowed: Sequence[str]) -> str | None:
    """Why `image` may not be run, or None. `allowed`: registries, each with or without the beginning of a path; none: any."""
    name = full_name(image)
    if not allowed or any(name.startswith(f"{one}/") or name == one for one in allowed):
        return None
    return f"image '{image}' ({name}) may not be used here; images may come from: {', '.join(allowed)}"
