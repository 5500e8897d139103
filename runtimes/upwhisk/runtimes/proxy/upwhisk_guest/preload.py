"""Modules that a zygote imports before it forks, so that user code finds them loaded."""

from __future__ import annotations

PRELOAD: tuple[str, ...] = (
    "asyncio",
    "base64",
    "collections",
    "contextlib",
    "contextvars",
    "copy",
    "dataclasses",
    "datetime",
    "decimal",
    "functools",
    "hashlib",
    "http.client",
    "io",
    "itertools",
    "json",
    "logging",
    "math",
    "operator",
    "os.path",
    "random",
    "re",
    "ssl",
    "string",
    "struct",
    "subprocess",
    "tempfile",
    "threading",
    "time",
    "traceback",
    "typing",
    "urllib.parse",
    "urllib.request",
    "uuid",
    "zipfile",
)
"""What small actions use most, and no more: each module is memory that an idle node spends. A guest's Python may lack
some of them."""
NATIVE_PRELOAD: tuple[str, ...] = ("json", "selectors", "shutil", "subprocess", "tempfile", "zipfile", "zlib")
"""The same for native guests, whose user code is no Python."""
