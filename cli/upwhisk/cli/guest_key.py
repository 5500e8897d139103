"""The key of the first user, and the files that hand it over."""

from __future__ import annotations

import os
import secrets
import string
import uuid
from dataclasses import dataclass
from pathlib import Path

from upwhisk.common.errors import ConfigurationError
from upwhisk.common.model.identity import NamespaceKey, Subject
from upwhisk.common.spi.store import SubjectStore

GUEST = "guest"
KEY_LENGTH = 64
_ALPHABET = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class GuestKey:
    """`fresh`: made just now, so it is shown once."""

    uuid: str
    key: str
    fresh: bool

    @property
    def text(self) -> str:
        return f"{self.uuid}:{self.key}"


def random_key() -> tuple[str, str]:
    return str(uuid.uuid4()), "".join(secrets.choice(_ALPHABET) for _ in range(KEY_LENGTH))


def given_key(auth_file: Path | None) -> tuple[str, str] | None:
    """The key from `--auth-file` or `UPWHISK_AUTH`, None if neither is there. `ConfigurationError` if malformed."""
    if auth_file is not None:
        try:
            return _parse("--auth-file", auth_file.read_text())
        except OSError as error:
            raise ConfigurationError("--auth-file", f"cannot read '{auth_file}': {error.strerror}") from None
    text = os.environ.get("UPWHISK_AUTH")
    return _parse("UPWHISK_AUTH", text) if text else None


def _parse(source: str, text: str) -> tuple[str, str]:
    user, _, key = text.strip().partition(":")
    try:
        uuid.UUID(user)
    except ValueError:
        raise ConfigurationError(source, "the part before ':' is not a UUID; the form is uuid:key") from None
    if len(key) != KEY_LENGTH:
        raise ConfigurationError(source, f"the key after ':' has {len(key)} characters but must have {KEY_LENGTH}")
    return user, key


async def ensure_guest(subjects: SubjectStore, given: tuple[str, str] | None) -> GuestKey:
    """The guest with the given key, its stored key, or a new random one."""
    guest = await subjects.get(GUEST)
    mine = next((n for n in guest.namespaces if n.name == GUEST), None) if guest is not None else None
    if given is None and mine is not None:
        return GuestKey(mine.uuid, mine.key, fresh=False)
    user, key = given or random_key()
    if mine is None or (mine.uuid, mine.key) != (user, key):
        others = tuple(n for n in guest.namespaces if n.name != GUEST) if guest is not None else ()
        blocked = guest.blocked if guest is not None else False
        await subjects.put(Subject(GUEST, (NamespaceKey(GUEST, user, key), *others), blocked))
    return GuestKey(user, key, fresh=given is None)


def write_wskprops(folder: Path, api_host: str, key: GuestKey) -> Path:
    """`.wskprops` for stock clients, readable by its owner alone."""
    return write_wskprops_file(folder / ".wskprops", api_host, key)


def write_wskprops_file(path: Path, api_host: str, key: GuestKey) -> Path:
    text = f"APIHOST={api_host}\nAUTH={key.text}\nAPIVERSION=v1\n"
    descriptor = os.open(path.with_name(path.name + ".tmp"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
    path.with_name(path.name + ".tmp").replace(path)
    return path
