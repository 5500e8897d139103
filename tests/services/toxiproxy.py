"""Toxiproxy: TCP proxies that delay, starve, reset and cut connections."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from services.asking import ask
from services.errors import Unavailable
from services.golang import built, program
from services.ports import free_ports
from services.service import Service

RECIPE = Path(__file__).parent / "build/toxiproxy"
_PACKAGE = "github.com/Shopify/toxiproxy/v2/cmd/server"


def prepare() -> Path:
    return built(RECIPE, _PACKAGE, "toxiproxy")


class Toxiproxy(Service):
    """`proxy` puts a listener in front of an upstream."""

    name: ClassVar[str] = "toxiproxy"

    def __init__(self) -> None:
        super().__init__()
        self._program = program(RECIPE, "toxiproxy")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}"

    def proxy(self, name: str, upstream: str) -> Proxy:
        """A proxy called `name` on a free port, for clients of `upstream` (host:port)."""
        listen = f"127.0.0.1:{free_ports(1)[0]}"
        body = {"name": name, "listen": listen, "upstream": upstream, "enabled": True}
        self.request("POST", "/proxies", body)
        return Proxy(self, name, listen)

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """Raises `Unavailable` where it is refused."""
        status, answer = ask(self.url + path, method=method, body=body)
        if not 200 <= status < 300:
            raise Unavailable(f"toxiproxy answered {status} to {method} {path}: {answer}")
        return answer

    def _configure(self, folder: Path) -> None:
        """All is told over its API."""

    def _command(self, folder: Path) -> list[str]:
        return [str(self._program), "-host", "127.0.0.1", "-port", str(self.ports[0])]

    def _ready(self) -> bool:
        return ask(f"{self.url}/proxies")[0] == 200


@dataclass(frozen=True, slots=True)
class Proxy:
    """Clients connect to `address` (host:port). Each way holds until `heal`."""

    server: Toxiproxy
    name: str
    address: str

    def cut(self) -> None:
        """Connections end, new ones are refused."""
        self.server.request("POST", f"/proxies/{self.name}", {"enabled": False})

    def black_hole(self) -> None:
        """Connections stay and are made, no byte passes in either direction."""
        for stream in ("upstream", "downstream"):
            self._add("timeout", stream, {"timeout": 0})

    def delay(self, milliseconds: int) -> None:
        """Answers come so much later."""
        self._add("latency", "downstream", {"latency": milliseconds})

    def reset(self) -> None:
        """Connections are reset (RST) at their next byte from the server."""
        self._add("reset_peer", "downstream", {"timeout": 0})

    def heal(self) -> None:
        for toxic in self.server.request("GET", f"/proxies/{self.name}/toxics"):
            self.server.request("DELETE", f"/proxies/{self.name}/toxics/{toxic['name']}")
        self.server.request("POST", f"/proxies/{self.name}", {"enabled": True})

    def remove(self) -> None:
        self.server.request("DELETE", f"/proxies/{self.name}")

    def _add(self, kind: str, stream: str, attributes: dict[str, int]) -> None:
        body = {
            "name": f"{kind}-{stream}",
            "type": kind,
            "stream": stream,
            "toxicity": 1.0,
            "attributes": attributes,
        }
        self.server.request("POST", f"/proxies/{self.name}/toxics", body)
