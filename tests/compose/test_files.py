"""What must hold of the Compose files whatever they start: pinned, logged in, not published, bounded, watched."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose.files import (
    BASE,
    COMBINATIONS,
    COMPOSE,
    FILES,
    ROOT,
    document,
    given,
    is_one_shot,
    leaves,
    services,
    top,
)

from upwhisk.common.settings_file import load_settings

EVERYTHING = COMBINATIONS[-1]
VERSION = re.compile(r":v?\d+\.\d+\.\d+[\w.-]*$")
SECRET_WORD = re.compile(r"password|secret|token|cookie|(^|_)key$", re.IGNORECASE)
LONG = re.compile(r"\b[0-9a-f]{24,}\b|\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-")
SCRIPTS = sorted(
    path
    for path in COMPOSE.rglob("*")
    if path.is_file() and "private" not in path.parts and path.read_bytes().startswith((b"#!/bin/bash", b"#!/usr/bin/env bash", b"#!/bin/sh"))
)
EVERY_SERVICE = [(files, name) for files in COMBINATIONS for name in services(files)]
ids = [f"{'+'.join(f.removeprefix('compose.').removesuffix('.yaml') for f in files)}-{name}" for files, name in EVERY_SERVICE]
each_service = pytest.mark.parametrize(("files", "name"), EVERY_SERVICE, ids=ids)


def test_every_file_is_in_a_combination() -> None:
    assert set(FILES) == {name for files in COMBINATIONS for name in files}


def test_images_and_bases_are_pinned() -> None:
    images = {service["image"] for service in services(EVERYTHING).values()}
    arguments = re.findall(r"^ARG (?:BASE|NODE)=(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert len(images) >= 7
    assert len(arguments) == 2
    for image in [*images, *arguments]:
        assert VERSION.search(image), image
    built = document(BASE)["services"]["secrets"]["build"]["args"]
    assert [built["BASE"], built["NODE"]] == arguments


@each_service
def test_a_service_is_bounded_watched_and_confined(files: tuple[str, ...], name: str) -> None:
    service = services(files)[name]
    assert {"image", "mem_limit", "pids_limit", "logging", "restart"} <= service.keys()
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert "privileged" not in service
    assert not any("docker.sock" in str(volume) for volume in service.get("volumes", ()))
    health = service["healthcheck"]
    if is_one_shot(service):
        assert health == {"disable": True}
    else:
        assert service["restart"] == "unless-stopped"
        assert health["test"]
        assert {"interval", "timeout", "retries"} <= health.keys()
        dependencies = service["depends_on"].values()
        assert all(each["condition"] in ("service_healthy", "service_completed_successfully") for each in dependencies)


@pytest.mark.parametrize("files", COMBINATIONS, ids=str)
def test_nothing_is_published_beyond_loopback(files: tuple[str, ...]) -> None:
    published = {name: service["ports"] for name, service in services(files).items() if "ports" in service}
    assert set(published) <= {"proxy", "prometheus"}
    for ports in published.values():
        assert all(str(port).startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("files", COMBINATIONS, ids=str)
def test_who_reaches_whom(files: tuple[str, ...]) -> None:
    """Guests leave by a network on which no service is; the services' own has no way out."""
    on: dict[str, set[str]] = {}
    for name, service in services(files).items():
        for network in service.get("networks", ()):
            on.setdefault(network, set()).add(name)
    ours = {"controller-1", "controller-2", "invoker-1", "invoker-2", "init"}
    assert on["data"] == {"couchdb", "kafka", "consul"} | ours
    assert on["guests"] == {"invoker-1", "invoker-2"}
    assert on["edge"] == {"proxy"}
    networks = top(files, "networks")
    assert networks["data"] == networks["api"] == {"internal": True}


@pytest.mark.parametrize("name", FILES)
def test_no_secret_is_in_a_file(name: str) -> None:
    for path, value in leaves(document(name)):
        key = path.rpartition(".")[2]
        if ".environment." in path and SECRET_WORD.search(key.removesuffix("_FILE").removesuffix("__FILE")):
            assert str(value).startswith("/"), f"{path} is {value}, not the name of a file"
        assert not LONG.search(str(value)), path
    for path, value in leaves(document(name).get("secrets") or {}):
        assert path.endswith(".file"), path
        assert str(value).startswith("./private/"), path


@pytest.mark.parametrize("path", sorted((COMPOSE / "config/upwhisk").glob("*.toml")), ids=lambda path: path.name)
def test_settings_are_ours_and_hold_no_secret(path: Path) -> None:
    load_settings(path, {})
    for key, value in leaves(tomllib.loads(path.read_text())):
        assert not LONG.search(str(value)), key
        if SECRET_WORD.search(key):
            assert str(value).startswith("/secrets/"), key


def test_configuration_files_hold_no_secret_and_are_read() -> None:
    for path in (COMPOSE / "config").rglob("*"):
        if path.is_file():
            assert not LONG.search(path.read_text()), path
            if path.suffix in (".yml", ".yaml"):
                yaml.safe_load(path.read_text())


def _named_secrets(files: tuple[str, ...], service: str, settings: str) -> set[str]:
    """Files below /secrets that the settings of a process name."""
    texts = [str(value) for _, value in leaves(tomllib.loads((COMPOSE / "config/upwhisk" / settings).read_text()))]
    texts += [str(value) for _, value in leaves(services(files)[service].get("environment") or {})]
    texts += [str(word) for word in services(files)[service].get("command") or ()]
    return {text.removeprefix("/secrets/") for text in texts if text.startswith("/secrets/")}


@pytest.mark.parametrize("files", [COMBINATIONS[0], EVERYTHING], ids=str)
@pytest.mark.parametrize(
    ("service", "settings", "volume"),
    [("init", "init.toml", "init"), ("controller-1", "controller.toml", "controller"), ("invoker-1", "invoker.toml", "invoker")],
)
def test_a_process_is_given_just_what_its_settings_name(
    files: tuple[str, ...], service: str, settings: str, volume: str
) -> None:
    owner, handed = given()[volume]
    certificates = {f"{volume}.pem", f"{volume}.key", "ca.pem"}
    named = _named_secrets(files, service, settings)
    if service == "init":  # it makes the logins of the others, whose settings it reads too
        named |= {f"{where}-{who}" for where in ("couchdb", "consul") for who in ("controller", "invoker")}
    assert handed - certificates == named - certificates
    assert named <= handed
    assert owner == {"init": "10001:10001", "controller": "10001:10001", "invoker": "0:0"}[volume]


def test_secrets_are_declared_made_and_handed_over(tmp_path: Path) -> None:
    made = _made(tmp_path / "private")
    declared = top(EVERYTHING, "secrets")
    handed = {file for _, files in given().values() for file in files}
    assert handed == set(declared)
    for name, entry in declared.items():
        assert entry["file"] == f"./private/{name}"
        assert name in made
    listed = services(EVERYTHING)["secrets"]["secrets"]
    assert sorted(listed) == sorted(declared)
    targets = {str(volume).partition(":/to/")[2] for volume in services(EVERYTHING)["secrets"]["volumes"]} - {""}
    assert targets == set(given())


def _made(private: Path) -> dict[str, bytes]:
    environment = {"PATH": "/usr/bin:/bin", "UPWHISK_PRIVATE": str(private)}
    for script in ("secrets", "certificates"):
        subprocess.run([COMPOSE / script], env=environment, check=True, capture_output=True, timeout=60)
    return {path.name: path.read_bytes() for path in private.iterdir()}


def test_scripts_make_secrets_once_for_their_owner_alone(tmp_path: Path) -> None:
    private = tmp_path / "private"
    first = _made(private)
    assert private.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in private.iterdir()} == {0o600}
    assert _made(private) == first, "a second run changes nothing"
    other = _made(tmp_path / "other")
    same = {name for name in first if first[name] == other[name]}
    assert same <= {"ca.srl"}, "all of it is random"
    (private / "consul-management").unlink()
    renewed = _made(private)
    assert renewed["consul-management"] in renewed["consul-acl.json"]
    assert renewed["consul-acl.json"] != first["consul-acl.json"]
    assert renewed["couchdb-admin"] == first["couchdb-admin"]
    uuid, _, key = first["guest-key"].decode().partition(":")
    assert (len(uuid), len(key), len(first["fleet-key"])) == (36, 64, 32)
    assert first["guest-key"] in first["wskprops"]


def test_the_image_is_for_every_architecture_and_not_root() -> None:
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    text = "\n".join(lines)
    assert not re.search(r"amd64|x86|arm64|aarch64", text)
    assert text.count("\nFROM ") == 3
    assert re.findall(r"^USER (\S+)$", text, re.MULTILINE) == ["upwhisk"]
    assert "\nHEALTHCHECK " in text
    assert "org.opencontainers.image.title" in text
    assert "ADD " not in text
    assert "COPY --chmod" not in text, "the classic builder does not know it"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(COMPOSE)))
def test_scripts_are_read_by_their_shell(script: Path) -> None:
    shell = "sh" if script.read_text().startswith("#!/bin/sh") else "bash"
    subprocess.run([shell, "-n", str(script)], check=True, timeout=10)
    assert script.stat().st_mode & 0o111


def test_the_tls_proxy_differs_only_in_tls() -> None:
    plain, tls = ((COMPOSE / f"config/haproxy/{name}").read_text().splitlines() for name in ("haproxy.cfg", "haproxy.tls.cfg"))
    without = [re.sub(r" (ssl crt|ssl verify|verifyhost) .*$", "", line) for line in tls[1:]]
    assert without == plain
    assert sum("ssl verify required" in line for line in tls) == 1
    for line in ("option http-buffer-request", "retry-on conn-failure 503", "option redispatch 1"):
        assert f"    {line}" in plain


def test_prometheus_asks_what_is_there() -> None:
    def scraped(name: str) -> dict[str, Any]:
        parsed: dict[str, Any] = yaml.safe_load((COMPOSE / "config/prometheus" / name).read_text())
        return parsed

    plain, tls = scraped("prometheus.yml"), scraped("prometheus.tls.yml")
    everybody = services(EVERYTHING)
    for job in plain["scrape_configs"]:
        assert job["authorization"]["credentials_file"] == "/secrets/metrics-token"
        for target in job["static_configs"][0]["targets"]:
            host, _, port = target.partition(":")
            assert "api" in everybody[host]["networks"]
            assert port == ("3233" if host.startswith("controller") else "9300")
    for job in tls["scrape_configs"]:
        assert job.pop("scheme") == "https"
        assert job.pop("tls_config") == {"ca_file": "/secrets/ca.pem"}
    assert tls == plain
    assert "metrics-token" in given()["prometheus"][1]
    assert everybody["grafana"]["network_mode"] == "service:prometheus"
    assert "--web.listen-address=127.0.0.1:9090" in everybody["prometheus"]["command"]
