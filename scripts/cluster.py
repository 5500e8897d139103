"""A whole fleet on this machine from real parts, until Ctrl-C: `make cluster`."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from fleet.fleet import Fleet  # noqa: E402 - the tests' own package


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--controllers", type=int, default=2)
    parser.add_argument("--invokers", type=int, default=2)
    parser.add_argument("--containers", choices=["process", "docker"], default="process")
    options = parser.parse_args()
    over = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: over.set())
    began = time.monotonic()
    fleet = Fleet(controllers=options.controllers, invokers=options.invokers, containers=options.containers)
    print("starting Kafka, Consul, CouchDB's stand-in, controllers and nodes", flush=True)
    with fleet:
        show(fleet, time.monotonic() - began)
        over.wait()
        print("stopping", flush=True)
    return 0


def show(fleet: Fleet, took_s: float) -> None:
    print(f"ready in {took_s:.1f} s")
    for name, service in fleet.services.items():
        print(f"  {name:<10} pid {service.pid}, ports {', '.join(map(str, service.ports))}")
    for member in fleet.members:
        print(f"  {member.name:<10} pid {member.pid}: {member.ready_line}")
    properties = fleet.folder / "wskprops"
    text = properties.read_text().replace("http://127.0.0.1:3233", fleet.urls[0])
    properties.write_text(text)
    print(f"use it with:  export WSK_CONFIG_FILE={properties}")
    print(f"look at it:   upwhisk node list --config {fleet.config}")
    print("Ctrl-C ends all of it", flush=True)


if __name__ == "__main__":
    sys.exit(main())
