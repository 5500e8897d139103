"""The services by name: what each needs, and how it is prepared."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from compose import prepared
from services import consul, couchdb, debian, docker_engine, kafka, toxiproxy
from services.errors import Unavailable


@dataclass(frozen=True, slots=True)
class Entry:
    """`programs` are Debian's: program to package. `is_usual`: prepared when no name is given."""

    title: str
    prepare: Callable[[], object]
    programs: dict[str, str] = field(default_factory=dict)
    is_usual: bool = True


CATALOG = {
    "consul": Entry("Consul 1.16.1, built from source", consul.prepare),
    "kafka": Entry("Kafka 4.1.1 (KRaft), from Maven", kafka.prepare, kafka.PROGRAMS),
    "couchdb": Entry("pouchdb-server 4.2.0, from npm", couchdb.prepare, couchdb.PROGRAMS),
    "docker": Entry("Docker engine, Debian's", docker_engine.prepare, docker_engine.PROGRAMS),
    "toxiproxy": Entry("Toxiproxy 2.12.0, built from source", toxiproxy.prepare),
    "compose": Entry(
        "docker compose 2.40.3, built from source, and a Debian for images", prepared.prepare, prepared.PROGRAMS, is_usual=False
    ),
}


def usual() -> list[str]:
    return [name for name, entry in CATALOG.items() if entry.is_usual]


def prepare(names: Iterable[str], say: Callable[[str], None]) -> list[str]:
    """Prepare services side by side; returns what failed, each with its reason. A second time it looks only."""
    names = list(names)
    programs = {program: package for name in names for program, package in CATALOG[name].programs.items()}
    with ThreadPoolExecutor(len(CATALOG) + 1) as pool:
        packages = pool.submit(debian.install, programs)

        def one(name: str) -> str | None:
            began = time.monotonic()
            try:
                _await(packages, CATALOG[name].programs)
                CATALOG[name].prepare()
            except Unavailable as error:
                return f"{name}: {error}"
            say(f"{name} is prepared ({time.monotonic() - began:.1f} s)")
            return None

        return [failure for failure in pool.map(one, names) if failure is not None]


def _await(installation: Future[None], programs: dict[str, str]) -> None:
    """Raises what went wrong, unless it was with others' packages."""
    if programs and (failure := installation.exception()) is not None and debian.missing(programs):
        raise failure
