"""Secrets in the database are sealed with a key that lies beside it, so that a copy of one tells nothing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from upwhisk.backends.store.folder import write_private
from upwhisk.common.errors import DataFolderError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_NONCE = 12
_PROOF = b"upwhisk"


class Sealer:
    """AES-256-GCM with a random nonce for each text. `purpose` ties a sealed text to its place: moved elsewhere it
    does not open."""

    def __init__(self, key: bytes) -> None:
        self.key = key
        self._cipher: AESGCM | None = None

    def seal(self, text: str, purpose: str) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + self._aead().encrypt(nonce, text.encode(), purpose.encode())

    def open(self, sealed: bytes, purpose: str) -> str:
        """`ValueError` when the key is another one or the text was changed."""
        from cryptography.exceptions import InvalidTag

        try:
            return self._aead().decrypt(sealed[:_NONCE], sealed[_NONCE:], purpose.encode()).decode()
        except InvalidTag:
            raise ValueError("sealed with another key, or damaged") from None

    def _aead(self) -> AESGCM:
        if self._cipher is None:
            # Imported at the first secret: 19 ms and 9 MB that a start without logins does not need.
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM

            self._cipher = AESGCM(self.key)
        return self._cipher


def proof_of(key: bytes) -> bytes:
    """What the database keeps to recognise its key."""
    import hashlib
    import hmac

    return hmac.new(key, _PROOF, hashlib.sha256).digest()


def load_key(path: Path, *, create: bool) -> bytes:
    """The key of a data folder; a new random one if `create` and there is none."""
    if create and not path.exists():
        write_private(path, os.urandom(KEY_BYTES))
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        key = b""
    if len(key) != KEY_BYTES:
        raise DataFolderError(
            f"the key file '{path}' is missing or damaged and the stored logins cannot be read without it:"
            " restore the data folder from a backup (a backup holds the key)"
        )
    return key
