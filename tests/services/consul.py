"""Consul: one server with ACLs, built from source (1.16.1, the Mozilla Public License)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from services.asking import ask
from services.certificates import Authority
from services.golang import built, program
from services.service import Service

RECIPE = Path(__file__).parent / "build/consul"
_PACKAGE = "github.com/hashicorp/consul"
_NODE = "n1"


def prepare() -> Path:
    """Build it: some minutes."""
    return built(RECIPE, _PACKAGE, "consul")


class Consul(Service):
    """Nothing is allowed without a token; `token` is the management one. With `tls` it speaks HTTPS only."""

    name: ClassVar[str] = "consul"
    port_count: ClassVar[int] = 3

    def __init__(self, *, tls: bool = False) -> None:
        super().__init__()
        self._program = program(RECIPE, "consul")
        self._tls = tls
        self.token = str(uuid.uuid4())

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.ports[0]}"

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self.address}"

    @property
    def ca(self) -> Path | None:
        """What clients trust, where it speaks TLS."""
        return self.folder / "tls/ca.pem" if self._tls else None

    def _configure(self, folder: Path) -> None:
        tokens = {"initial_management": self.token, "agent": self.token}  # without a valid one nothing is synced
        settings: dict[str, Any] = {
            **_SETTINGS,
            "data_dir": str(folder / "data"),
            "ports": {**_CLOSED, "https" if self._tls else "http": self.ports[0]}
            | {"serf_lan": self.ports[1], "server": self.ports[2]},
            "acl": {"enabled": True, "default_policy": "deny", "tokens": tokens},
        }
        if self._tls:
            signed = Authority(folder / "tls").sign("server.dc1.consul")
            files = {
                "ca_file": str(self.ca),
                "cert_file": str(signed.certificate),
                "key_file": str(signed.key),
            }
            settings["tls"] = {"defaults": files}
        config = folder / "consul.json"
        config.touch(mode=0o600)
        config.write_text(json.dumps(settings))

    def _command(self, folder: Path) -> list[str]:
        return [str(self._program), "agent", "-config-file", str(folder / "consul.json")]

    def _environment(self) -> Mapping[str, str]:
        return {"GOMAXPROCS": "2", "GOGC": "50"}

    def _ready(self) -> bool:
        """A leader is there before ACLs and the node itself are."""
        status, leader = ask(f"{self.url}/v1/status/leader", trust=self.ca)
        if status != 200 or not leader:
            return False
        status, nodes = ask(
            f"{self.url}/v1/catalog/nodes", headers={"X-Consul-Token": self.token}, trust=self.ca
        )
        return status == 200 and any(node["Node"] == _NODE for node in nodes)


_CLOSED = dict.fromkeys(("http", "https", "dns", "grpc", "grpc_tls", "serf_wan"), -1)
_SETTINGS = {
    "server": True,
    "bootstrap_expect": 1,
    "bind_addr": "127.0.0.1",
    "client_addr": "127.0.0.1",
    "node_name": _NODE,
    "datacenter": "dc1",
    "performance": {"raft_multiplier": 1, "leave_drain_time": "0s", "rpc_hold_timeout": "1s"},
    "disable_update_check": True,
    "disable_keyring_file": True,
    "log_level": "WARN",
    "connect": {"enabled": False},
    "peering": {"enabled": False},
    "limits": {"http_max_conns_per_client": 1000},
}
