"""The runtimes of this node: what the manifest names and which interpreters are there, for factory and API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from upwhisk.common.errors import ConfigurationError
from upwhisk.common.model.action import BLACKBOX
from upwhisk.common.settings import GuestSettings
from upwhisk.common.spi.containers import FactoryAbilities, Network
from upwhisk.invoker.containers.process import default_run_dir
from upwhisk.runtimes.discover import discover
from upwhisk.runtimes.installation import RuntimeInstallation
from upwhisk.runtimes.manifest import Manifest

SKELETON = "openwhisk/dockerskeleton"
_CACHE = "interpreters.json"


@dataclass(frozen=True, slots=True)
class NodeRuntimes:
    """`prewarm`: kind -> containers to hold ready. `missing`: kind -> which interpreter is not here."""

    manifest: Manifest
    installations: tuple[RuntimeInstallation, ...]
    missing: Mapping[str, str]
    prewarm: dict[str, int]
    run_dir: Path

    @classmethod
    def find(cls, guest: GuestSettings) -> NodeRuntimes:
        """Looks for interpreters; what was seen is remembered for the host. Blocking: a few ms when nothing changed."""
        run_dir = default_run_dir()
        run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        manifest = Manifest.load(Path(guest.runtimes) if guest.runtimes else None, discover(run_dir / _CACHE))
        library = Path(guest.python_library) if guest.python_library else None
        if library is not None and not library.is_dir():
            raise ConfigurationError("guest.python_library", f"there is no folder '{library}'")
        found = tuple(manifest.installations(library=library).values())
        return cls(manifest, found, manifest.all_missing(), manifest.prewarm(), run_dir)

    def kinds(self, abilities: Callable[[], FactoryAbilities]) -> NodeKinds:
        return NodeKinds(self.manifest, self.missing, abilities)


class NodeKinds:
    """What the API asks about kinds, images and networks."""

    def __init__(
        self, manifest: Manifest, missing: Mapping[str, str], abilities: Callable[[], FactoryAbilities]
    ) -> None:
        self._manifest = manifest
        self._missing = missing
        self._abilities = abilities

    def resolve(self, kind: str) -> str | None:
        return self._manifest.resolve(kind)

    def deprecated(self, kind: str) -> bool:
        return self._manifest.is_deprecated(kind)

    def require_main(self, kind: str) -> bool:
        return self._manifest.require_main(kind)

    def valid(self) -> tuple[str, ...]:
        return (*self._manifest.kinds, BLACKBOX)

    def missing(self, kind: str) -> str | None:
        return self._missing.get(kind)

    def refuse_image(self, image: str) -> str | None:
        """Without a container engine only `wsk --native` works: its image stands for the native runtime."""
        if self._abilities().images:
            return None
        name = image.rpartition("/")[0] + "/" + image.rpartition("/")[2].partition(":")[0]
        if name.removeprefix("docker.io/").lstrip("/") == SKELETON:
            return self._missing.get(BLACKBOX)
        return f"image '{image}' needs --containers docker; without it only native actions ('{SKELETON}') run"

    def refuse_network(self, network: str) -> str | None:
        known = [n.value for n in Network]
        if network not in known:
            return f"annotation 'network' must be one of {', '.join(known)}, not '{network}'"
        if Network(network) not in self._abilities().networks:
            return f"network '{network}' is not available on this node (see 'upwhisk doctor')"
        return None

    def runtimes(self) -> dict[str, list[dict[str, Any]]]:
        return self._manifest.to_public()
