"""The image by which `wsk --native` asks for the native runtime. Pure."""

from __future__ import annotations

SKELETON = "openwhisk/dockerskeleton"


def is_skeleton(image: str) -> bool:
    """Whether an action's image stands for the native runtime, whatever its tag."""
    folder, _, name = image.rpartition("/")
    return f"{folder}/{name.partition(':')[0]}".removeprefix("docker.io/").lstrip("/") == SKELETON
