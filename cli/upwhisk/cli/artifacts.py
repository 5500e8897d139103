"""From a file, a folder or a list of actions to the `exec` of an action, and back to a file."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from typing import Any, Final

from upwhisk.cli import texts
from upwhisk.cli.failure import NOT_ALLOWED, Failure, invalid
from upwhisk.cli.parameters import decode, read_bytes
from upwhisk.cli.qualified import full_name

SKELETON: Final = "openwhisk/dockerskeleton"
_KINDS: Final = {
    ".js": "nodejs:default",
    ".py": "python:default",
    ".jar": "java:default",
    ".swift": "swift:default",
    ".php": "php:default",
    ".rb": "ruby:default",
    ".rs": "rust:default",
    ".go": "go:default",
    ".balx": "ballerina:default",
}
_ENCODED: Final = frozenset({".zip", ".jar", ".balx"})
_EXTENSIONS: Final = {kind.partition(":")[0]: extension for extension, kind in _KINDS.items()}
_ARCHIVES: Final = {"java": ".jar", "ballerina": ".balx"}
_ENTRIES: Final = (("package.json", "nodejs:default"), ("__main__.py", "python:default"), ("exec", "blackbox"))
"""What tells the kind of a folder, in this order."""


@dataclass(frozen=True, slots=True)
class ExecFlags:
    """`artifact`: the argument behind the name, None if there is none."""

    artifact: str | None = None
    kind: str = ""
    docker: str = ""
    main: str = ""
    native: bool = False
    sequence: bool = False

    @property
    def change_code(self) -> bool:
        """They say how code is run, which is that of the artifact, or else what the action has already."""
        return bool(self.kind or self.main or self.native)


def exec_of(flags: ExecFlags, namespace: str) -> dict[str, Any]:
    """What a PUT carries as `exec`; empty when the flags name none. `Failure` if they contradict each other."""
    if flags.kind and flags.docker:
        raise invalid(texts.KIND_AND_DOCKER, NOT_ALLOWED)
    if flags.sequence:
        if flags.artifact is None:
            raise invalid(texts.ACTION_AND_CODE)
        names = [name.strip() for name in flags.artifact.split(",")]
        return {"kind": "sequence", "components": [full_name(name, namespace) for name in names]}
    if flags.artifact is None:
        return _image(flags) if flags.docker else {}
    return _with_code(flags, flags.artifact)


def changed_exec(old: dict[str, Any], flags: ExecFlags) -> dict[str, Any]:
    """The `exec` of an action that is there, run as the flags say. `Failure` if they speak of a sequence's code."""
    if not flags.change_code:
        return old
    if old.get("kind") == "sequence":
        raise invalid(texts.SEQUENCE_HAS_NO_CODE)
    changed = dict(old)
    if flags.kind or flags.native:
        changed.pop("image", None)
        changed |= {"kind": flags.kind} if flags.kind else {"kind": "blackbox", "image": SKELETON}
    return changed | ({"main": flags.main} if flags.main else {})


def _image(flags: ExecFlags) -> dict[str, Any]:
    return {"kind": "blackbox", "image": flags.docker} | ({"main": flags.main} if flags.main else {})


def _with_code(flags: ExecFlags, artifact: str) -> dict[str, Any]:
    extension = os.path.splitext(artifact)[1]
    if os.path.isdir(artifact):
        code, found = _folder(artifact)
    else:
        code, found = _file(artifact, extension, native=flags.native), _KINDS.get(extension, "")
    kind = flags.kind or ("blackbox" if flags.docker or flags.native else found)
    if not kind:
        raise invalid(texts.ZIP_KIND if extension == ".zip" else texts.not_supported(extension), hint=_KIND_HINT)
    if kind == "java" and not flags.main:
        raise invalid(texts.JAVA_MAIN)
    result: dict[str, Any] = {"kind": kind, "code": code}
    if kind == "blackbox" and not flags.kind:
        result["image"] = flags.docker or SKELETON
    if flags.main:
        result["main"] = flags.main
    return result


_KIND_HINT = "name the runtime with --kind (for instance python:default or nodejs:default), or use --native or --docker"


def _file(path: str, extension: str, *, native: bool) -> str:
    data = read_bytes(path)
    if extension in _ENCODED:
        return base64.b64encode(data).decode("ascii")
    if native and (data.startswith(b"\x7fELF") or b"\0" in data):
        # A compiled program cannot travel as text; the runtime takes it as an archive with the entry `exec`.
        return _archive([("exec", data, 0o755)])
    return decode(path, data)


def _folder(path: str) -> tuple[str, str]:
    """The folder as an archive, and the kind that its contents speak of. Links are followed to files, not folders."""
    entries = []
    for folder, below, files in os.walk(path):
        below.sort()
        for file in sorted(files):
            full = os.path.join(folder, file)
            if os.path.isfile(full):
                entries.append((os.path.relpath(full, path), read_bytes(full), os.stat(full).st_mode & 0o777))
    names = {name for name, _, _ in entries}
    kind = next((kind for entry, kind in _ENTRIES if entry in names), "")
    if not kind:
        wanted = ", ".join(entry for entry, _ in _ENTRIES)
        raise invalid(f"The folder '{path}' holds none of {wanted}", hint="one of them says how the action is started")
    return _archive(entries), kind


def _archive(entries: list[tuple[str, bytes, int]]) -> str:
    import io
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data, mode in entries:
            # A fixed time: the same files give the same archive.
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.external_attr = (0o100000 | mode) << 16
            archive.writestr(entry, data, zipfile.ZIP_DEFLATED)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def save_code(action: dict[str, Any], path: str) -> str:
    """Write the action's code to `path`, or if that is empty to a file named after the action; its full path."""
    found = action.get("exec") or {}
    family = str(found.get("kind", "")).partition(":")[0].lower()
    binary, code = bool(found.get("binary")), found.get("code")
    if family == "sequence":
        raise Failure(texts.NO_SEQUENCE_CODE, 2, usage=True)
    if family == "blackbox" and code is None and not binary:
        raise Failure(texts.NO_IMAGE_CODE, 2, usage=True)
    extension = _ARCHIVES.get(family, ".zip") if binary else _EXTENSIONS.get(family, "")
    file = path or os.path.basename(str(action.get("name", "action"))) + extension
    data = base64.b64decode(code or "") if binary else (code or "").encode("utf-8", "surrogatepass")
    try:
        with open(file, "xb") as stream:
            stream.write(data)
    except FileExistsError:
        raise Failure(f"The file '{file}' already exists", 2, usage=True, hint="give another with --save-as") from None
    except OSError as error:
        raise Failure(f"Cannot create file '{file}': {error.strerror}", 2, usage=True) from None
    return os.path.join(os.getcwd(), file)
