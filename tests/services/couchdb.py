"""A server of CouchDB's protocol: pouchdb-server from npm, or one that is given. It is not CouchDB; see its tests."""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote, unquote, urlsplit

from services.asking import ask
from services.cache import digest, kept, place
from services.commands import have, run
from services.errors import Unavailable
from services.service import Service

RECIPE = Path(__file__).parent / "build/couchdb"
PROGRAMS = {"node": "nodejs", "npm": "npm"}
VARIABLE = "UPWHISK_TEST_COUCHDB"
_FETCH_S = 300.0


@dataclass(frozen=True, slots=True)
class Server:
    """`address` is http://host:port. `own` can be killed and restarted; None where the environment named the server."""

    address: str
    user: str
    password: str
    own: PouchDB | None

    @property
    def url(self) -> str:
        """The address with user and password in it."""
        scheme, rest = self.address.split("://", 1)
        return f"{scheme}://{quote(self.user, safe='')}:{quote(self.password, safe='')}@{rest}"


def given() -> Server | None:
    """The server that the environment names. Raises `Unavailable` where it does not answer or the login fails."""
    text = os.environ.get(VARIABLE, "")
    if not text:
        return None
    url = urlsplit(text)
    if (
        url.hostname is None
        or url.username is None
        or url.password is None
        or url.scheme not in {"http", "https"}
    ):
        raise Unavailable(f"{VARIABLE} is not like http://user:password@host:port")
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    address = f"{url.scheme}://{host}" + (f":{url.port}" if url.port else "")
    server = Server(address, unquote(url.username), unquote(url.password), own=None)
    status, _ = ask(f"{address}/_session", headers=login(server.user, server.password))
    if status != 200:
        raise Unavailable(f"{VARIABLE}: {address} answered {status or 'nothing'} to the user's login")
    return server


def login(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def prepare() -> Path:
    return kept("couchdb", digest(RECIPE), _install)


def _install(folder: Path) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(RECIPE / name, folder)
    options = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    run("npm", "ci", *options, cwd=folder, within_s=_FETCH_S, tries=3)


class PouchDB(Service):
    """One administrator, `user` and `password`."""

    name: ClassVar[str] = "couchdb"

    def __init__(self) -> None:
        super().__init__()
        self._modules = place("couchdb", digest(RECIPE)) / "node_modules"
        if not self._modules.is_dir():
            raise Unavailable("couchdb is not prepared: run scripts/services prepare couchdb")
        self.user = "admin"
        self.password = secrets.token_hex(16)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def server(self) -> Server:
        return Server(self.address, self.user, self.password, self)

    def _configure(self, folder: Path) -> None:
        (folder / "data").mkdir(exist_ok=True)
        config = folder / "config.json"
        config.touch(mode=0o600)
        logs = {"level": "error", "file": str(folder / "requests.log")}
        config.write_text(json.dumps({"admins": {self.user: self.password}, "log": logs}))

    def _command(self, folder: Path) -> list[str]:
        # one bad filter ends the process unless rejections are warnings
        node = [have("node"), "--unhandled-rejections=warn", "--max-old-space-size=256"]
        program = [str(self._modules / ".bin/pouchdb-server"), "--no-stdout-logs", "--no-color"]
        files = ["--dir", str(folder / "data"), "--config", str(folder / "config.json")]
        return [*node, *program, *files, "--host", "127.0.0.1", "--port", str(self.ports[0])]

    def _ready(self) -> bool:
        status, _ = ask(f"{self.address}/_all_dbs", headers=login(self.user, self.password))
        return status == 200
