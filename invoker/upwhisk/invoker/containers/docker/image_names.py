"""What the images of runtimes are called, and what their labels say. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from upwhisk.common.model.action import BLACKBOX
from upwhisk.runtimes.installation import Family

KIND = "upwhisk.kind"
FAMILY = "upwhisk.family"
CONTENT = "upwhisk.content"
START = "upwhisk.start"
BIRTH = "upwhisk.birth"
BIRTH_VERSION = "1"
"""How a guest gets its socket and its output: an image and a platform of different ones do not work together."""
MOUNT = "/run/upwhisk"
PROXIES = "/opt/upwhisk/proxy"
LIBRARY = "/opt/upwhisk/library"
REMEDY = "run `upwhisk admin images` (in a checkout: `make images`)"
_PYTHON = ("python3", "-I", "-S", "-X", "utf8", f"{PROXIES}/container_start.py")


@dataclass(frozen=True, slots=True)
class RuntimeImage:
    """An image that the engine has. `start`: the command that a platform starts it with."""

    kind: str
    name: str
    content: str
    start: tuple[str, ...]


def image_name(prefix: str, kind: str) -> str:
    """`upwhisk/python:3.12` for the kind `python:3.12`; native actions have `upwhisk/native:latest`."""
    return f"{prefix}/native:latest" if kind == BLACKBOX else f"{prefix}/{kind}"


def start_command(family: Family, proxy: str) -> tuple[str, ...]:
    """`proxy`: the file's name below the image's folder of proxies."""
    file = f"{PROXIES}/{proxy}"
    if family == "nodejs":
        line = f"exec node {file} --birth {MOUNT}/birth >{MOUNT}/stdout 2>{MOUNT}/stderr"
        return ("/bin/sh", "-c", line)
    return (*_PYTHON, file, LIBRARY) if proxy == "python_proxy.py" else (*_PYTHON, file)


def labels(kind: str, family: Family, proxy: str, content: str) -> dict[str, str]:
    command = json.dumps(start_command(family, proxy))
    return {KIND: kind, FAMILY: family, CONTENT: content, START: command, BIRTH: BIRTH_VERSION}


def runtime_images(prefix: str, listing: Iterable[Mapping[str, object]]) -> tuple[dict[str, RuntimeImage], tuple[str, ...]]:
    """From the engine's list of images: kind -> image, and findings about those that cannot be used."""
    found: dict[str, RuntimeImage] = {}
    findings: list[str] = []
    for entry in listing:
        marks, names = entry.get("Labels"), entry.get("RepoTags")
        if not isinstance(marks, Mapping) or not isinstance(names, list) or KIND not in marks:
            continue
        kind = str(marks[KIND])
        name = image_name(prefix, kind)
        if name not in names:
            continue
        if marks.get(BIRTH) != BIRTH_VERSION:
            findings.append(f"the image {name} belongs to another release: {REMEDY}")
            continue
        start = tuple(str(word) for word in json.loads(str(marks.get(START, "[]"))))
        found[kind] = RuntimeImage(kind, name, str(marks.get(CONTENT)), start)
    return found, tuple(findings)


def missing_image(prefix: str, kind: str) -> str:
    return f"The kind '{kind}' needs the image '{image_name(prefix, kind)}', which the container engine does not have: {REMEDY}."
