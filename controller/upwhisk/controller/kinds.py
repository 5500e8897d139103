"""What the controller asks about kinds, images and networks; the runtimes manifest and the nodes answer."""

from __future__ import annotations

from typing import Any, Protocol


class KindsPort(Protocol):
    def resolve(self, kind: str) -> str | None:
        """The concrete kind behind `kind` (`python:default` -> `python:3.13`), or None if it is unknown."""
        ...

    def deprecated(self, kind: str) -> bool: ...

    def require_main(self, kind: str) -> bool: ...

    def valid(self) -> tuple[str, ...]:
        """Every kind that can be named, in the order an error text lists them."""
        ...

    def missing(self, kind: str) -> str | None:
        """Why no node can run this concrete kind (names the interpreter that is missing), or None."""
        ...

    def refuse_image(self, image: str) -> str | None:
        """Why no node can run this image of a blackbox action, or None."""
        ...

    def refuse_network(self, network: str) -> str | None:
        """Why no node can give its guests this network, or None."""
        ...

    def runtimes(self) -> dict[str, list[dict[str, Any]]]:
        """Family -> kinds, as the document at `/` shows them."""
        ...
