"""Every setting with its type, bounds and default. `settings_file.py` reads them."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from upwhisk.common.model.limits import SystemLimits

Positive = Annotated[int, Meta(ge=1)]
NotNegative = Annotated[int, Meta(ge=0)]
Seconds = Annotated[float, Meta(ge=0)]
SomeSeconds = Annotated[float, Meta(gt=0)]
NodeName = Annotated[str, Meta(pattern=r"^(?!\.{1,2}$)[A-Za-z0-9_.-]{1,128}$")]
ControllerName = Annotated[str, Meta(pattern=r"^(?!\.{1,2}$)[A-Za-z0-9_.-]{0,128}$")]
Registry = Annotated[
    str, Meta(pattern=r"^(localhost|[a-z0-9-]+(\.[a-z0-9-]+)+|[a-z0-9-]+(?=:))(:[0-9]{1,5})?(/[a-z0-9][a-z0-9._-]*)*$")
]
"""A host, then its port and the beginning of a path if one likes."""
Port = Annotated[int, Meta(ge=0, le=65535)]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One table of the file."""


class ServerSettings(_Section, frozen=True):
    """`port` 0 takes a free one. `insecure_http`: allow listening beyond loopback without TLS. `cert_file`, `key_file`: PEM
    files; with them the listeners of this process, API and metrics, speak TLS only. `disable_token_file`: who has its token may
    `POST /disable`; nobody may without."""

    host: str = "127.0.0.1"
    port: Port = 3233
    insecure_http: bool = False
    cert_file: str = ""
    key_file: str = ""
    disable_token_file: str = ""
    drain_s: Seconds = 30.0
    header_timeout_s: SomeSeconds = 20.0
    """How long a client may take to send a whole request."""


class StoreSettings(_Section, frozen=True):
    """`process`: what was acknowledged survives `kill -9`; `power`: a power cut too (one fsync a commit)."""

    durability: Literal["process", "power"] = "process"
    min_free_mb: NotNegative = 256


class RetentionSettings(_Section, frozen=True):
    """Records older than `max_age_s`, beyond `max_records`, or beyond `max_mb` go, oldest first. 0 = no such bound."""

    max_age_s: NotNegative = 7 * 24 * 3600
    max_records: NotNegative = 0
    max_mb: NotNegative = 1024
    interval_s: Seconds = 10.0

    @property
    def is_bounded(self) -> bool:
        return bool(self.max_age_s or self.max_records or self.max_mb)


class QueueSettings(_Section, frozen=True):
    """Work waiting for a permit. `max_wait_s` bounds blocking callers, `max_age_s` everybody."""

    max_length: Positive = 2048
    max_length_per_namespace: Positive = 1024
    max_wait_s: Seconds = 30.0
    max_age_s: Seconds = 3600.0


class NodeSettings(_Section, frozen=True):
    """`memory_mb` 0: half of the machine's. `kind` harvest: the machine has an owner, guests get what is left over."""

    kind: Literal["dedicated", "harvest"] = "dedicated"
    memory_mb: NotNegative = 0
    name: NodeName = "0"
    api_url: str = ""
    """Where a fleet's API is for this node's guests, `http://host:port` or `https://host:port`."""
    api_ca_file: str = ""
    """Certificates to trust for `https`."""
    metrics_host: str = "127.0.0.1"
    metrics_port: Port | None = 0
    """Where a node of a fleet serves its metrics; 0 takes a free port."""
    lease_s: SomeSeconds = 3.0
    """A node that is not heard of for so long takes no new work and what it had is lost to it."""


class PoolSettings(_Section, frozen=True):
    """`freeze_after_s` of idleness a warm container is frozen, `evict_after_s` it is destroyed. `start_s`: how long the
    start of one may take."""

    freeze_after_s: Seconds = 10.0
    evict_after_s: Seconds = 600.0
    starts_at_once: Positive = 4
    start_s: SomeSeconds = 150.0
    prewarm: bool = True


class GuestSettings(_Section, frozen=True):
    """`network`: for actions that do not say (`auto`: outbound where it works, else api). `allow`: private networks
    that outbound guests may reach, CIDR. `resolvers`: name servers of outbound guests; none: this machine's."""

    network: Literal["auto", "none", "api", "outbound"] = "auto"
    allow: tuple[str, ...] = ()
    resolvers: tuple[str, ...] = ()
    ip_forwarding: bool = False
    """Allow switching the kernel's IPv4 forwarding on, which outbound guests need."""
    scratch_mb: Positive = 128
    processes: Positive = 1024
    open_files: Positive = 1024
    cpu_cores: Seconds = 0.0
    """Cores one container may use at most; 0: as many as the node has."""
    runtimes: str = ""
    """Path of a runtimes manifest that replaces the built-in one."""
    python_library: str = ""
    """Folder of packages that every Python guest can import."""
    node_library: str = ""
    """Folder whose `node_modules` every Node guest can require."""


class PluginSettings(_Section, frozen=True):
    """Which implementation serves each plug-in point (`upwhisk.common.plugins`)."""

    store: str = "sqlite"
    bus: str = "memory"
    nodes: str = "memory"
    containers: str = "auto"
    """`auto`: process sandboxes where this host can confine them, else a container engine that answers."""
    logs: str = "inline"
    forecaster: str = "persistence"


class PlacementSettings(_Section, frozen=True):
    policy: str = "warm"


class MetricsSettings(_Section, frozen=True):
    """`token_file` holds a token; who sends it (`Authorization: Bearer`) sees metrics and nodes from other machines."""

    token_file: str = ""


class LogSettings(_Section, frozen=True):
    """The platform's own log, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "text", "json"] = "auto"


class CouchDBSettings(_Section, frozen=True):
    """The fleet's document store. Its three databases are `<prefix>subjects`, `<prefix>whisks`, `<prefix>activations`.
    `password_file` holds the password of `user` and nothing else. `key_file`: the fleet's key, with which the keys of
    subjects are sealed; `upwhisk init` makes it, each controller has a copy."""

    url: str = "http://127.0.0.1:5984"
    user: str = ""
    password_file: str = ""
    ca_file: str = ""
    prefix: str = "upwhisk_"
    key_file: str = ""


class KafkaSettings(_Section, frozen=True):
    """The fleet's bus. `prefix` begins every topic; `replication` is that of new topics; `retention_h` bounds how long an
    unread message is kept. `security`: sasl_* needs `user` and `password_file`, *_ssl `ca_file` (and, for client
    certificates, `cert_file` and `key_file`)."""

    bootstrap: tuple[str, ...] = ("127.0.0.1:9092",)
    prefix: str = "upwhisk-"
    security: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] = "plaintext"
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-256"
    user: str = ""
    password_file: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    replication: Positive = 1
    retention_h: Positive = 48


class ConsulSettings(_Section, frozen=True):
    """The fleet's registry. `prefix` begins every service name and key; `token_file` holds the ACL token."""

    url: str = "http://127.0.0.1:8500"
    token_file: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    prefix: str = "upwhisk"


class DockerSettings(_Section, frozen=True):
    """The container engine, for `plugins.containers = "docker"`. It must run on this machine.

    `host`: a `unix://` or `tcp://` address; empty: `DOCKER_HOST`, else the engine's usual socket. With `tcp://` the three
    files are needed, for TLS.
    """

    host: str = ""
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    image_prefix: str = "upwhisk"
    """Images of runtimes are `<prefix>/python:3.12` and the like; `upwhisk admin images` builds them."""
    runtime: str = ""
    """One of the engine's OCI runtimes; empty: its default."""
    deadline_s: Seconds = 30.0
    """How long the engine may take to create or start one container."""
    pull: Literal["missing", "never"] = "missing"
    """Whether images that actions name are fetched when the engine does not have them."""
    pull_timeout_s: Seconds = 100.0
    """How long that may take, the wait for others of its namespace included. A controller counts on an answer 120 s after twice
    the action's time limit."""
    registries: tuple[Registry, ...] = ()
    """Where images that actions name may come from, `ghcr.io` or `ghcr.io/acme`; none: from anywhere."""
    image_root: Literal["read-only", "writable"] = "read-only"
    """`writable`: images that actions name get their own user and a layer to write to, which nothing bounds."""


class ControllerSettings(_Section, frozen=True):
    """One controller of a fleet. `name` is its own among the controllers; empty: made from the host's name and the port."""

    name: ControllerName = ""
    lease_s: SomeSeconds = 3.0
    """A controller that is not heard of for so long is dead; another takes its work over."""
    leave_s: Seconds = 3.0
    """From SIGTERM on `/ping` answers 503 and calls are taken for so long: time for a proxy to see it."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything a process is told, one field a table of the file."""

    server: ServerSettings = ServerSettings()
    store: StoreSettings = StoreSettings()
    retention: RetentionSettings = RetentionSettings()
    queue: QueueSettings = QueueSettings()
    node: NodeSettings = NodeSettings()
    pool: PoolSettings = PoolSettings()
    guest: GuestSettings = GuestSettings()
    plugins: PluginSettings = PluginSettings()
    placement: PlacementSettings = PlacementSettings()
    metrics: MetricsSettings = MetricsSettings()
    log: LogSettings = LogSettings()
    limits: SystemLimits = SystemLimits()
    couchdb: CouchDBSettings = CouchDBSettings()
    kafka: KafkaSettings = KafkaSettings()
    consul: ConsulSettings = ConsulSettings()
    docker: DockerSettings = DockerSettings()
    controller: ControllerSettings = ControllerSettings()
