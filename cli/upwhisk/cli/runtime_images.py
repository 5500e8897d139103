"""Which images of runtimes to build, and from what: `upwhisk admin images`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from upwhisk.common.errors import ConfigurationError, StartupError
from upwhisk.common.model.action import BLACKBOX
from upwhisk.common.settings import Settings
from upwhisk.invoker.containers.docker.endpoint import endpoint_of
from upwhisk.invoker.containers.docker.image_build import ImageBuilder, ImagePlan
from upwhisk.runtimes.discover import discover
from upwhisk.runtimes.installation import Family, RuntimeInstallation
from upwhisk.runtimes.manifest import Manifest

_PROXIES: dict[str, tuple[Family, str]] = {
    "python": ("python", "python_proxy.py"),
    "nodejs": ("nodejs", "node_proxy.js"),
    BLACKBOX: ("native", "native_proxy.py"),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """`kinds` empty: every one whose interpreter this host has, and those of `bases`. `bases`: kind -> base image; the key
    '' stands for every kind that is named without one of its own."""

    kinds: tuple[str, ...] = ()
    bases: tuple[tuple[str, str], ...] = ()
    library: Path | None = None


def wanted(kinds: Iterable[str], bases: Iterable[str], library: Path | None = None) -> Wanted:
    """`bases`: `KIND=IMAGE`, or `IMAGE` for all kinds that are named. Raises `StartupError`."""
    named = tuple(kinds)
    pairs = [_pair(text) for text in bases if text]
    if any(not kind for kind, _ in pairs) and not named:
        raise StartupError("a base image without a kind needs --kind: an image of Python is no base for Node")
    return Wanted(named, tuple(pairs), library)


def _pair(text: str) -> tuple[str, str]:
    kind, equals, image = text.partition("=")
    return (kind.strip(), image.strip()) if equals else ("", text.strip())


def build_images(settings: Settings, want: Wanted, say: Callable[[str], object]) -> list[str]:
    """Build what is wanted and not there yet; returns the images' names. `StartupError` names what failed."""
    guest = settings.guest
    manifest = Manifest.load(Path(guest.runtimes) if guest.runtimes else None, discover())
    library = want.library or (Path(guest.python_library) if guest.python_library else None)
    if library is not None and not library.is_dir():
        raise ConfigurationError("guest.python_library", f"there is no folder '{library}'")
    plans = plans_of(want, manifest.installations(), library)
    endpoint = endpoint_of(settings.docker, os.environ)
    with ImageBuilder(endpoint, settings.docker.image_prefix, say) as builder:
        return [builder.build(plan) for plan in plans]


def plans_of(want: Wanted, found: dict[str, RuntimeInstallation], library: Path | None) -> list[ImagePlan]:
    """Raises `StartupError` for a kind that no image can be made for."""
    bases = dict(want.bases)
    kinds = want.kinds or (*found, *(kind for kind in bases if kind not in found))
    plans = []
    for kind in kinds:
        if kind.partition(":")[0] not in _PROXIES:
            raise StartupError(f"no image can be built for the kind '{kind}'")
        family, proxy = _PROXIES[kind.partition(":")[0]]
        base = bases.get(kind, bases.get("") if kind in want.kinds else None)
        packages = library if family == "python" else None
        plans.append(ImagePlan(kind, family, proxy, found.get(kind), base or None, packages))
    return plans
