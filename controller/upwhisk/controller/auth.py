"""Credentials -> identity, cached by the raw `Authorization` header."""

from __future__ import annotations

import binascii
import hmac
import uuid
from base64 import b64decode
from collections.abc import Callable
from typing import Final

from upwhisk.common.clock import Clock
from upwhisk.common.errors import NotAuthenticated
from upwhisk.common.model.identity import Identity, NamespaceLimits, Subject
from upwhisk.common.names import is_namespace
from upwhisk.common.spi.store import SubjectStore
from upwhisk.controller.kept import Kept
from upwhisk.controller.known_limits import KnownLimits

MISSING: Final = "The resource requires authentication, which was not supplied with the request"
KEY_LENGTH: Final = 64
_MAX_HEADER: Final = 512


class Authenticator:
    """Only successful logins are cached, for at most five minutes; `forget` drops them all at once."""

    def __init__(self, subjects: SubjectStore, clock: Clock) -> None:
        self._subjects = subjects
        self._cache: Kept[Identity] = Kept(clock)
        self.limits = KnownLimits(subjects, clock)

    def cached(self, header: str | None) -> Identity | None:
        """The identity of a header seen lately; costs one lookup."""
        return None if header is None else self._cache.get(header)

    def forget(self) -> None:
        self._cache.forget()
        self.limits.forget()

    async def identify(self, header: str | None) -> Identity:
        """`NotAuthenticated` for no, malformed, unknown or blocked credentials."""
        if header is None:
            raise NotAuthenticated(MISSING)
        found = self.cached(header)
        if found is not None:
            return found
        generation = self._cache.generation
        identity = await self._look_up(*_credentials(header))
        if len(header) <= _MAX_HEADER:
            self._cache.keep(header, identity, generation)
        return identity

    async def _look_up(self, user: str, key: str) -> Identity:
        subject = await self._subjects.by_uuid(user)
        if subject is None or subject.blocked:
            raise NotAuthenticated()
        for namespace in subject.namespaces:
            if not is_namespace(namespace.name):
                continue  # whoever stored it, it must not be mistaken for somebody else's
            if namespace.uuid == user and hmac.compare_digest(namespace.key.encode(), key.encode()):
                limits = await self.limits.of(namespace.name)
                return Identity(subject.subject, namespace.name, user, limits)
        raise NotAuthenticated()


def _credentials(header: str) -> tuple[str, str]:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic" or len(header) > _MAX_HEADER:
        raise NotAuthenticated()
    try:
        user, _, key = b64decode(encoded.strip(), validate=True).decode().partition(":")
        uuid.UUID(user)
    except (binascii.Error, ValueError):
        raise NotAuthenticated() from None
    if len(key) != KEY_LENGTH:
        raise NotAuthenticated()
    return user, key


class WatchedSubjects(SubjectStore):
    """The subject store as the platform writes it: every change calls `changed`, so caches follow at once."""

    def __init__(self, inner: SubjectStore, changed: Callable[[], None]) -> None:
        self._inner = inner
        self._changed = changed

    async def get(self, subject: str) -> Subject | None:
        return await self._inner.get(subject)

    async def put(self, subject: Subject) -> None:
        try:
            await self._inner.put(subject)
        finally:
            self._changed()

    async def delete(self, subject: str) -> None:
        try:
            await self._inner.delete(subject)
        finally:
            self._changed()

    async def by_uuid(self, uuid: str) -> Subject | None:
        return await self._inner.by_uuid(uuid)

    async def by_namespace(self, namespace: str) -> list[Subject]:
        return await self._inner.by_namespace(namespace)

    async def limits(self, namespace: str) -> NamespaceLimits | None:
        return await self._inner.limits(namespace)

    async def put_limits(self, namespace: str, limits: NamespaceLimits) -> None:
        try:
            await self._inner.put_limits(namespace, limits)
        finally:
            self._changed()

    async def delete_limits(self, namespace: str) -> None:
        try:
            await self._inner.delete_limits(namespace)
        finally:
            self._changed()
