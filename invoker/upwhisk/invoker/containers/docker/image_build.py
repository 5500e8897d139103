"""Builds the images of runtimes in the engine: a base, the proxies, labels. Blocking; for commands, not for a loop."""

from __future__ import annotations

import contextlib
import hashlib
import io
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from upwhisk.common.errors import StartupError
from upwhisk.invoker.containers.docker import image_names
from upwhisk.invoker.containers.docker.endpoint import Endpoint
from upwhisk.invoker.containers.docker.host_base import CHANGES, HostBase
from upwhisk.invoker.containers.docker.tls import tls_context, unusable
from upwhisk.runtimes.installation import DOCKERFILES, PROXIES, Family, RuntimeInstallation

_DEADLINE_S: Final = 600
_PING_S: Final = 10
_ANY_VERSION: Final = "1.41"  # until the engine has told its own
_CHUNK: Final = 1 << 20
Say = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class ImagePlan:
    """One image to have. `base`: an image of the engine or of a registry; None: made from `installation`'s files.
    `proxies`: a folder that replaces the built-in proxies but for `container_start.py`."""

    kind: str
    family: Family
    proxy: str
    installation: RuntimeInstallation | None = None
    base: str | None = None
    library: Path | None = None
    proxies: Path | None = None


class ImageFailed(StartupError):
    """An image could not be built; the text says why."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"image {name}: {why.strip()[:600]}")


class ImageBuilder:
    """Use as a context; `StartupError` when the engine does not answer."""

    def __init__(self, endpoint: Endpoint, prefix: str, say: Say = lambda _: None) -> None:
        self._endpoint = endpoint
        self._prefix = prefix
        self._say = say
        self._client: Any = None

    def __enter__(self) -> ImageBuilder:
        self._client = open_client(self._endpoint, _DEADLINE_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def build(self, plan: ImagePlan) -> str:
        """Make the image unless it is there with the same content; returns its name. Raises `ImageFailed`."""
        name = image_names.image_name(self._prefix, plan.kind)
        began = time.monotonic()
        try:
            host = None if plan.base is not None else _host_base(plan)
            base_id = self._pulled(plan.base) if plan.base is not None else ""
            context = _context(plan)
            content = _digest(plan, host.fingerprint() if host else base_id, context)
            if self._labels(name).get(image_names.CONTENT) == content:
                self._say(f"{name}: there already")
                return name
            base = plan.base if host is None else self._import(name, plan.kind, host)
            self._build(name, plan, str(base), content, context)
        except (OSError, ValueError) as error:
            raise ImageFailed(name, str(error)) from None
        source = f"base {plan.base}" if plan.base else "base made of this host's files"
        self._say(f"{name}: built in {time.monotonic() - began:.1f} s, {source}")
        return name

    def _labels(self, name: str) -> dict[str, str]:
        image = self._inspect(name)
        return (image.get("Config") or {}).get("Labels") or {} if image else {}

    def _inspect(self, name: str) -> dict[str, Any] | None:
        from docker.errors import ImageNotFound

        with engine_errors(name):
            try:
                found: dict[str, Any] = self._client.inspect_image(name)
            except ImageNotFound:
                return None
        return found

    def _pulled(self, base: str) -> str:
        image = self._inspect(base)
        if image is None:
            self._say(f"{base}: fetching")
            repository, _, tag = base.rpartition(":") if ":" in base.rpartition("/")[2] else (base, "", "latest")
            with engine_errors(base):
                for line in self._client.pull(repository, tag=tag, stream=True, decode=True):
                    if "error" in line:
                        raise ImageFailed(base, str(line["error"]))
            image = self._inspect(base)
        if image is None:
            raise ImageFailed(base, "the engine does not have it")
        return str(image["Id"])

    def _import(self, name: str, kind: str, host: HostBase) -> str:
        base = f"{self._prefix}/base:{kind.replace(':', '-')}"
        self._say(f"{name}: copying this host's files into {base}")
        with tempfile.TemporaryFile() as file:
            host.write(file)
            file.seek(0)
            repository, _, tag = base.rpartition(":")
            with engine_errors(name):
                chunks = iter(lambda: file.read(_CHUNK), b"")  # a file would be sent in one piece, said to be several
                self._client.import_image_from_stream(chunks, repository=repository, tag=tag, changes=list(CHANGES))
        return base

    def _build(self, name: str, plan: ImagePlan, base: str, content: str, context: bytes) -> None:
        previous = self._inspect(name)
        with engine_errors(name):
            lines = self._client.build(
                fileobj=io.BytesIO(context),
                custom_context=True,
                buildargs={"BASE": base},
                labels=image_names.labels(plan.kind, plan.family, plan.proxy, content),
                tag=name,
                rm=True,
                forcerm=True,
                network_mode="none",
                decode=True,
            )
            for line in lines:
                if "error" in line:
                    raise ImageFailed(name, str(line["error"]))
            if previous is not None:
                self._forget(str(previous["Id"]))

    def _forget(self, image: str) -> None:
        """What the new image replaces; running containers keep it."""
        from docker.errors import APIError

        with contextlib.suppress(APIError):
            self._client.remove_image(image)


def open_client(endpoint: Endpoint, timeout_s: float) -> Any:
    """A client of docker-py's lower level. `StartupError` when the engine does not answer."""
    try:
        import docker
        from docker.tls import TLSConfig
    except ImportError:
        raise StartupError("the package 'docker' is missing: pip install 'upwhisk[distributed]'") from None
    from requests.exceptions import RequestException

    try:
        tls: Any = False
        if endpoint.is_tls:
            tls_context(endpoint)  # says better what is wrong with the files
            tls = TLSConfig(client_cert=(endpoint.cert_file, endpoint.key_file), ca_cert=endpoint.ca_file, verify=True)
        client = docker.APIClient(endpoint.url, version=_ANY_VERSION, timeout=int(timeout_s), tls=tls)
        client.trust_env = False  # variables for proxies and certificates of the web concern no engine
        client._version = client._retrieve_server_version()
    except (docker.errors.DockerException, RequestException, OSError) as error:
        raise unusable(endpoint, error) from None
    return client


def list_runtime_images(
    endpoint: Endpoint, prefix: str
) -> tuple[dict[str, image_names.RuntimeImage], tuple[str, ...]]:
    """What the engine can run now, and findings. `StartupError` when it does not answer."""
    client = open_client(endpoint, _PING_S)
    try:
        with engine_errors("list"):
            listing = client.images(filters={"label": image_names.KIND})
    finally:
        client.close()
    return image_names.runtime_images(prefix, listing)


@contextlib.contextmanager
def engine_errors(name: str) -> Iterator[None]:
    """Errors of docker-py, and of what it is made of, become `ImageFailed`."""
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    try:
        yield
    except (DockerException, RequestException) as error:
        raise ImageFailed(name, str(getattr(error, "explanation", None) or error)) from None


def _host_base(plan: ImagePlan) -> HostBase:
    if plan.installation is None:
        raise ValueError(f"this host has no interpreter for the kind '{plan.kind}': give a base image")
    return HostBase(plan.installation)


def _digest(plan: ImagePlan, base: str, context: bytes) -> str:
    digest = hashlib.sha256(base.encode())
    digest.update(context)
    digest.update(repr(sorted(image_names.labels(plan.kind, plan.family, plan.proxy, "").items())).encode())
    return digest.hexdigest()[:32]


def _context(plan: ImagePlan) -> bytes:
    """The build context; the same bytes for the same files."""
    files = {"Dockerfile": DOCKERFILES / plan.family / "Dockerfile"}
    files |= dict(_tree("proxy", PROXIES if plan.proxies is None else plan.proxies))
    if plan.proxies is not None:
        files |= {f"proxy/{name}": PROXIES / name for name in ("container_start.py", "compile_library.py")}
    if plan.library is not None:
        files |= dict(_tree("library", plan.library))
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for folder in ("proxy", "library"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        for name, path in sorted(files.items()):
            data = path.read_bytes()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o755 if path.stat().st_mode & 0o100 else 0o644
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def _tree(name: str, folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield f"{name}/{path.relative_to(folder)}", path
