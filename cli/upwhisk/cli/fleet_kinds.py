"""What a fleet's API says of kinds, images and networks: what its nodes report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from upwhisk.cli.node_runtimes import NodeKinds, interpreters_of
from upwhisk.common.settings import GuestSettings
from upwhisk.common.spi.containers import FactoryAbilities, Network
from upwhisk.common.spi.nodes import NodeReport, NodeState
from upwhisk.runtimes.manifest import Manifest


class FleetKinds:
    """As long as no node has ever been seen every kind of the manifest is taken; work waits for a node. `registries`: where
    images may come from."""

    def __init__(self, guest: GuestSettings, registries: Sequence[str] = ()) -> None:
        self._manifest = Manifest.load(Path(guest.runtimes) if guest.runtimes else None)
        self._known: tuple[frozenset[str], frozenset[str], bool] | None = None
        self._registries = registries
        shown = _abilities(frozenset(), frozenset(Network), images=True)
        self._kinds = NodeKinds(self._manifest, {}, lambda: shown, registries)

    def update(self, reports: tuple[NodeReport, ...]) -> None:
        """What any node has that is not offline, else what the last ones had."""
        living = [report for report in reports if report.state is not NodeState.OFFLINE]
        if not living:
            return
        kinds = frozenset(kind for report in living for kind in report.kinds)
        networks = frozenset(network for report in living for network in report.networks)
        images = any(report.images for report in living)
        if (kinds, networks, images) == self._known:
            return
        self._known = (kinds, networks, images)
        manifest = self._manifest.on(interpreters_of(kinds))
        missing = {
            kind: f"The kind '{kind}' cannot be run: no node of this fleet has it."
            for kind in (*manifest.kinds, "blackbox")
            if kind not in kinds
        }
        shown = _abilities(kinds, frozenset(Network(n) for n in networks), images=images)
        self._kinds = NodeKinds(manifest, missing, lambda: shown, self._registries)

    def resolve(self, kind: str) -> str | None:
        return self._kinds.resolve(kind)

    def deprecated(self, kind: str) -> bool:
        return self._kinds.deprecated(kind)

    def require_main(self, kind: str) -> bool:
        return self._kinds.require_main(kind)

    def valid(self) -> tuple[str, ...]:
        return self._kinds.valid()

    def missing(self, kind: str) -> str | None:
        return self._kinds.missing(kind)

    def refuse_image(self, image: str) -> str | None:
        return self._kinds.refuse_image(image)

    def refuse_network(self, network: str) -> str | None:
        return self._kinds.refuse_network(network)

    def runtimes(self) -> dict[str, list[dict[str, Any]]]:
        return self._kinds.runtimes()


def _abilities(kinds: frozenset[str], networks: frozenset[Network], *, images: bool) -> FactoryAbilities:
    return FactoryAbilities(freeze=True, resize=True, images=images, networks=networks, kinds=kinds)
