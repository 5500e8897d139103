"""Kinds of runtimes: what the manifest says, and what of it this node can run.

The file has OpenWhisk's form (`runtimes.json`), with one addition: stem cells marked `onlyIfDefault` are kept only
for the kind that is its family's default. A family without a default in the file gets one by `Manifest.on`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from upwhisk.common.errors import ConfigurationError
from upwhisk.runtimes.discover import Interpreters
from upwhisk.runtimes.installation import BLACKBOX, RuntimeInstallation, install

BUILT_IN = Path(__file__).with_name("manifest.json")
PLATFORM_PYTHONS = ((3, 11), (3, 13))
"""Oldest and newest Python that the platform itself supports; the default kind is among them if it can be."""
_MEMORY = re.compile(r"\s*([0-9]+)\s*(MB?|GB?)\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class StemCell:
    """`count` guests of `memory_mb` to keep prewarmed."""

    count: int
    memory_mb: int
    only_if_default: bool = False


@dataclass(frozen=True, slots=True)
class RuntimeKind:
    """One kind of the manifest. `image` in full, as `prefix/name:tag`."""

    kind: str
    family: str
    image: str
    default: bool = False
    deprecated: bool = False
    require_main: bool = False
    sentinelled_logs: bool = True
    attached: bool = False
    stem_cells: tuple[StemCell, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """`families`: by name, in the file's order. `blackboxes`: images that are known without asking a registry.

    `interpreters`: what this node has, None as long as nobody looked (`on`).
    """

    families: Mapping[str, tuple[RuntimeKind, ...]]
    blackboxes: frozenset[str] = frozenset()
    interpreters: Interpreters | None = None

    @classmethod
    def load(cls, path: Path | None = None, interpreters: Interpreters | None = None) -> Manifest:
        """Read the file at `path`, or the built-in one, and adapt it to a node (`on`) if its interpreters are given.
        `ConfigurationError` says what is wrong with the file."""
        source = BUILT_IN if path is None else path
        try:
            raw = json.loads(source.read_text(encoding="utf-8"))
            manifest = cls(_families(raw), frozenset(_image(raw, box) for box in raw.get("blackboxes", ())))
            return manifest if interpreters is None else manifest.on(interpreters)
        except OSError as error:
            raise ConfigurationError("guest.runtimes", f"{source}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigurationError(
                "guest.runtimes", f"{source} is no runtimes manifest: {error!r}"
            ) from error

    @cached_property
    def kinds(self) -> dict[str, RuntimeKind]:
        return {kind.kind: kind for kinds in self.families.values() for kind in kinds}

    def on(self, interpreters: Interpreters) -> Manifest:
        """This manifest as a node with these interpreters has it: with a kind for each Python found, and the newest
        one that the platform supports as the default where the file names none."""
        families = dict(self.families)
        known = families.get("python", ())
        extra = [
            RuntimeKind(name, "python", f"openwhisk/action-python-v3.{minor}:nightly")
            for (_, minor) in sorted(interpreters.pythons)
            if (name := f"python:3.{minor}") not in {kind.kind for kind in known}
        ]
        python = (*known, *extra)
        if python and not any(kind.default for kind in python):
            default = default_python(interpreters)
            python = tuple(replace(kind, default=kind.kind == default) for kind in python)
        families["python"] = python
        return replace(self, families=families, interpreters=interpreters)

    def resolve(self, kind: str) -> str | None:
        """The concrete kind that a client means, None if there is none such."""
        name = kind.strip().lower()
        if name in self.kinds or name == BLACKBOX:
            return name
        family, _, version = name.partition(":")
        kinds = self.families.get(family, ())
        if version == "default" or (version == "3" and family == "python"):
            chosen = next((kind for kind in kinds if kind.default), kinds[0] if len(kinds) == 1 else None)
            return None if chosen is None else chosen.kind
        return None

    def is_deprecated(self, kind: str) -> bool:
        return kind in self.kinds and self.kinds[kind].deprecated

    def require_main(self, kind: str) -> bool:
        return kind in self.kinds and self.kinds[kind].require_main

    def stem_cells(self, kind: str) -> tuple[StemCell, ...]:
        """What to keep prewarmed of a kind."""
        known = self.kinds.get(kind)
        if known is None:
            return ()
        return tuple(cell for cell in known.stem_cells if known.default or not cell.only_if_default)

    def prewarm(self) -> dict[str, int]:
        """Kind -> how many guests to keep prewarmed, of any memory; only kinds of which there are any."""
        counts = {kind: sum(cell.count for cell in self.stem_cells(kind)) for kind in self.kinds}
        return {kind: count for kind, count in counts.items() if count and kind not in self.all_missing()}

    def to_public(self) -> dict[str, list[dict[str, Any]]]:
        """The object `runtimes` of `GET /`: what can be run here."""
        absent = self.all_missing()
        public = {
            family: [_public(kind) for kind in kinds if kind.kind not in absent]
            for family, kinds in self.families.items()
        }
        return {family: kinds for family, kinds in public.items() if kinds}

    def installations(
        self, interpreters: Interpreters | None = None, library: Path | None = None
    ) -> dict[str, RuntimeInstallation]:
        """How to start each kind that these interpreters (without: this node's) can run: the default Python first,
        native actions (`blackbox`) last. `library`: folder of preinstalled Python packages."""
        there = interpreters or self.interpreters or Interpreters()
        default = self.resolve("python:default")
        names = sorted(self.kinds, key=lambda name: name != default)
        found = {name: install(name, there, library) for name in names}
        base = found.get(default) if default is not None else None
        found[BLACKBOX] = install(BLACKBOX, there, None, base.interpreter if base else None)
        return {name: installation for name, installation in found.items() if installation is not None}

    def all_missing(self) -> dict[str, str]:
        """Kind -> why this node cannot run it; empty as long as nobody looked."""
        if self.interpreters is None:
            return {}
        there = self.installations()
        return {kind: self.missing(kind) for kind in (*self.kinds, BLACKBOX) if kind not in there}

    def missing(self, kind: str) -> str:
        """Why a kind of this manifest cannot be run on this node."""
        if kind == BLACKBOX:
            return "The kind 'blackbox' needs Python 3.10 or later, which this node does not have."
        family, _, version = kind.partition(":")
        program = {"python": "python", "nodejs": "node version "}.get(family)
        if program is None:
            return f"The kind '{kind}' has no interpreter under this platform's process containers."
        return f"The kind '{kind}' needs the interpreter {program}{version}, which this node does not have."


def default_python(interpreters: Interpreters) -> str | None:
    """The newest found that the platform itself supports, else the newest found."""
    found = sorted(interpreters.pythons)
    oldest, newest = PLATFORM_PYTHONS
    supported = [version for version in found if oldest <= version <= newest]
    if not found:
        return None
    major, minor = (supported or found)[-1]
    return f"python:{major}.{minor}"


def _families(raw: dict[str, Any]) -> dict[str, tuple[RuntimeKind, ...]]:
    return {
        family: tuple(_kind(raw, family, entry) for entry in entries)
        for family, entries in raw["runtimes"].items()
    }


def _kind(raw: dict[str, Any], family: str, entry: dict[str, Any]) -> RuntimeKind:
    return RuntimeKind(
        kind=str(entry["kind"]).strip().lower(),
        family=family,
        image=_image(raw, entry["image"]),
        default=bool(entry.get("default", False)),
        deprecated=bool(entry.get("deprecated", False)),
        require_main=bool(entry.get("requireMain", False)),
        sentinelled_logs=bool(entry.get("sentinelledLogs", True)),
        attached=entry.get("attached") is not None,
        stem_cells=tuple(_stem_cell(cell) for cell in entry.get("stemCells", ())),
    )


def _stem_cell(cell: dict[str, Any]) -> StemCell:
    found = _MEMORY.fullmatch(str(cell["memory"]))
    if found is None:
        raise ValueError(f"memory {cell['memory']!r}")
    unit = 1024 if found.group(2).upper().startswith("G") else 1
    count = int(cell.get("initialCount", cell.get("count", 0)))
    return StemCell(count, int(found.group(1)) * unit, bool(cell.get("onlyIfDefault", False)))


def _image(raw: dict[str, Any], image: dict[str, Any]) -> str:
    prefix = image.get("prefix", raw.get("defaultImagePrefix", ""))
    tag = image.get("tag", raw.get("defaultImageTag", "latest"))
    return f"{prefix}/{image['name']}:{tag}" if prefix else f"{image['name']}:{tag}"


def _public(kind: RuntimeKind) -> dict[str, Any]:
    return {
        "kind": kind.kind,
        "image": kind.image,
        "deprecated": kind.deprecated,
        "default": kind.default,
        "attached": kind.attached,
        "requireMain": kind.require_main,
    }
