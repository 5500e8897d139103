"""`upwhisk admin user ...` and `limits ...`: the operations behind the commands.

Texts and exit codes are `wskadmin`'s, which operators' scripts compare. The same functions serve the socket of a
running platform and the files of a stopped one.
"""

from __future__ import annotations

import secrets
import string
import uuid
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

import msgspec

from upwhisk.common.errors import DocumentMissing, RevisionConflict
from upwhisk.common.model.identity import NamespaceKey, NamespaceLimits, Subject
from upwhisk.common.names import MAX_SEGMENT, is_namespace
from upwhisk.common.spi.store import SubjectStore
from upwhisk.controller.namespace_limits import parse_size

KEY_LENGTH: Final = 64
MIN_SUBJECT: Final = 5
_ALPHABET: Final = string.ascii_letters + string.digits
_NOT_FOUND: Final = "not found"
NOT_ENFORCED: Final = "Note: invocationsPerMinute, firesPerMinute and concurrentInvocations are stored and shown, but not enforced yet."
LIMIT_ORDER: Final = (
    "invocationsPerMinute",
    "firesPerMinute",
    "concurrentInvocations",
    "allowedKinds",
    "storeActivations",
    "minActionMemory",
    "maxActionMemory",
    "minActionLogs",
    "maxActionLogs",
    "minActionTimeout",
    "maxActionTimeout",
    "minActionConcurrency",
    "maxActionConcurrency",
    "maxParameterSize",
    "maxPayloadSize",
    "truncationSize",
)
_THROTTLES: Final = frozenset(LIMIT_ORDER[:3])
_SIZES: Final = frozenset(LIMIT_ORDER[-3:])


class Answer(msgspec.Struct, frozen=True):
    """What a command prints, without the last line's end, and its exit code. `data`: the same for programs, if it is more
    than a remark."""

    text: str
    code: int = 0
    data: Any = None


class UserCreate(msgspec.Struct, forbid_unknown_fields=True):
    """`auth`: `uuid:key` instead of a random one. `revoke`: a new key for a namespace the subject has already.
    `genonly`: print a key, store nothing."""

    subject: str
    namespace: str | None = None
    auth: str | None = None
    revoke: bool = False
    genonly: bool = False


class UserGet(msgspec.Struct, forbid_unknown_fields=True):
    subject: str
    namespace: str | None = None
    all: bool = False


class UserDelete(msgspec.Struct, forbid_unknown_fields=True):
    subject: str
    namespace: str | None = None


class UserList(msgspec.Struct, forbid_unknown_fields=True):
    namespace: str
    pick: int = 1
    all: bool = False
    key: bool = False


class UserWhois(msgspec.Struct, forbid_unknown_fields=True):
    auth: str


class Subjects(msgspec.Struct, forbid_unknown_fields=True):
    subjects: tuple[str, ...]


class LimitsOf(msgspec.Struct, forbid_unknown_fields=True):
    namespace: str


class LimitsSet(msgspec.Struct, forbid_unknown_fields=True):
    """`limits`: names as on the wire; only these change."""

    namespace: str
    limits: dict[str, Any]


def new_key() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(KEY_LENGTH))


def _refused_create(wanted: UserCreate) -> Answer | None:
    if len(wanted.subject) < MIN_SUBJECT:
        return Answer(f"Subject name must be at least {MIN_SUBJECT} characters", 2)
    if wanted.namespace is not None and not wanted.namespace.strip():
        return Answer("Namespace must not be empty", 2)
    if not is_namespace(wanted.namespace or wanted.subject):
        return _no_namespace(wanted.namespace or wanted.subject)
    if wanted.auth is None:
        return None
    user, _, key = wanted.auth.partition(":")
    try:
        uuid.UUID(user)
    except ValueError:
        return Answer("authorization id is not a valid UUID", 2)
    if len(key) < KEY_LENGTH:
        return Answer(f"authorization key must be at least {KEY_LENGTH} characters long", 2)
    if len(key) > KEY_LENGTH:
        return Answer(f"authorization key must be {KEY_LENGTH} characters long: no client can log in with a longer one", 2)
    return None


def _no_namespace(name: str) -> Answer:
    """Some of these could be taken for another namespace's package, the others could not be addressed."""
    return Answer(
        f"'{name[:40]}' cannot name a namespace: 1 to {MAX_SEGMENT} characters from letters, digits and '_@ .&-', "
        "the first a letter, digit or '_', the last not blank, and not '_' alone",
        2,
    )


async def create_user(store: SubjectStore, wanted: UserCreate) -> Answer:
    refusal = _refused_create(wanted)
    if refusal is not None:
        return refusal
    user, _, key = (wanted.auth or f"{uuid.uuid4()}:{new_key()}").partition(":")
    namespace = wanted.namespace or wanted.subject
    if wanted.genonly:
        return _login(wanted.subject, namespace, f"{user}:{key}")
    subject = await store.get(wanted.subject) or Subject(wanted.subject)
    if subject.blocked:
        return Answer("The subject you want to edit is blocked", 1)
    held = next((n for n in subject.namespaces if n.name == namespace), None)
    if held is not None and not wanted.revoke:
        return Answer("Namespace already exists", 1)
    if held is not None and wanted.auth is None:
        # A revoked key keeps its uuid, which names the namespace elsewhere.
        user = held.uuid
    others = tuple(n for n in subject.namespaces if n.name != namespace)
    changed = msgspec.structs.replace(subject, namespaces=(*others, NamespaceKey(namespace, user, key)))
    try:
        await store.put(changed)
    except RevisionConflict:
        return Answer("Failed to create subject (the authorization id is in use)", 1)
    return _login(wanted.subject, namespace, f"{user}:{key}")


def _login(subject: str, namespace: str, auth: str) -> Answer:
    return Answer(auth, data={"subject": subject, "namespace": namespace, "auth": auth})


async def get_user(store: SubjectStore, wanted: UserGet) -> Answer:
    subject = await store.get(wanted.subject)
    if subject is None:
        return Answer(f"Failed to get subject ({_NOT_FOUND})", 1)
    if wanted.all:
        rows = [{"namespace": n.name, "auth": f"{n.uuid}:{n.key}"} for n in subject.namespaces]
        return Answer("\n".join("\t".join(row.values()) for row in rows), data=rows)
    namespace = wanted.namespace or wanted.subject
    held = next((n for n in subject.namespaces if n.name == namespace), None)
    if held is None:
        return Answer(f'namespace "{namespace}" not found for "{wanted.subject}"', 1)
    login = f"{held.uuid}:{held.key}"
    return Answer(login, data={"namespace": namespace, "auth": login})


async def whois(store: SubjectStore, wanted: UserWhois) -> Answer:
    user, _, key = wanted.auth.partition(":")
    subject = await store.by_uuid(user)
    for held in subject.namespaces if subject is not None else ():
        if held.uuid == user and secrets.compare_digest(held.key.encode(), key.encode()):
            assert subject is not None
            found = {"subject": subject.subject, "namespace": held.name}
            return Answer("\n".join(f"{name}: {value}" for name, value in found.items()), data=found)
    return Answer("Subject id is not recognized")


async def list_users(store: SubjectStore, wanted: UserList) -> Answer:
    if wanted.pick < 1:
        return Answer("pick must be at least 1", 2)
    rows = [
        {"auth": f"{held.uuid}:{held.key}", "subject": subject.subject}
        for subject in await store.by_namespace(wanted.namespace)
        for held in (() if subject.blocked else subject.namespaces)
        if held.name == wanted.namespace
    ]
    if not rows:
        return Answer(f'no identities found for namespace "{wanted.namespace}"', data=[])
    picked = rows if wanted.all else rows[: wanted.pick]
    return Answer("\n".join(row["auth"] if wanted.key else "\t".join(row.values()) for row in picked), data=picked)


async def delete_user(store: SubjectStore, wanted: UserDelete) -> Answer:
    subject = await store.get(wanted.subject)
    if subject is None:
        return Answer(f"Failed to delete subject ({_NOT_FOUND})", 1)
    if wanted.namespace is None:
        try:
            await store.delete(wanted.subject)
        except DocumentMissing:
            return Answer(f"Failed to delete subject ({_NOT_FOUND})", 1)
        return Answer("Subject deleted")
    kept = tuple(n for n in subject.namespaces if n.name != wanted.namespace)
    if len(kept) == len(subject.namespaces):
        return Answer(f'Namespace "{wanted.namespace}" does not exist for "{wanted.subject}"', 1)
    await store.put(msgspec.structs.replace(subject, namespaces=kept))
    return Answer("Namespace deleted")


async def block(store: SubjectStore, wanted: Subjects) -> Answer:
    return await _set_blocked(store, wanted, blocked=True)


async def unblock(store: SubjectStore, wanted: Subjects) -> Answer:
    return await _set_blocked(store, wanted, blocked=False)


async def _set_blocked(store: SubjectStore, wanted: Subjects, *, blocked: bool) -> Answer:
    word = "block" if blocked else "unblock"
    lines, failed = [], 0
    for name in wanted.subjects:
        if not name.strip():
            continue
        subject = await store.get(name)
        if subject is None:
            failed += 1
            lines.append(f'Failed to {word} "{name}" ({_NOT_FOUND})')
            continue
        await store.put(msgspec.structs.replace(subject, blocked=blocked))
        lines.append(f'"{name}" {word}ed successfully')
    return Answer("\n".join(lines), failed)


async def set_limits(store: SubjectStore, wanted: LimitsSet) -> Answer:
    if not is_namespace(wanted.namespace):
        return _no_namespace(wanted.namespace)
    stored = await store.limits(wanted.namespace) or NamespaceLimits()
    given = {name: value for name, value in wanted.limits.items() if value is not None}
    for name in _SIZES & given.keys():
        if not isinstance(given[name], str) or parse_size(given[name]) is None:
            return Answer(f"Failed to set limits ({name} is no size such as '1 MB')", 1)
    try:
        limits = msgspec.convert({**msgspec.to_builtins(stored), **given}, NamespaceLimits)
    except msgspec.ValidationError as error:
        return Answer(f"Failed to set limits ({error})", 1)
    problem = _out_of_order(msgspec.to_builtins(limits))
    if problem is not None:
        return Answer(f"Failed to set limits ({problem})", 1)
    await store.put_limits(wanted.namespace, limits)
    text = f'Limits successfully set for "{wanted.namespace}"'
    return Answer(f"{text}\n{NOT_ENFORCED}" if _THROTTLES & given.keys() else text)


def _out_of_order(limits: dict[str, Any]) -> str | None:
    """What no limit can be, or None."""
    for name, value in limits.items():
        if isinstance(value, int) and value < 0:
            return f"{name} is {value}, but must be 0 or more"
    for what in ("Memory", "Logs", "Timeout", "Concurrency"):
        low, high = limits.get(f"minAction{what}"), limits.get(f"maxAction{what}")
        if low is not None and high is not None and low > high:
            return f"minAction{what} is {low}, above maxAction{what}, which is {high}"
    return None


async def get_limits(store: SubjectStore, wanted: LimitsOf) -> Answer:
    limits = await store.limits(wanted.namespace)
    fields: dict[str, Any] = {} if limits is None else msgspec.to_builtins(limits)
    found = {name: fields[name] for name in LIMIT_ORDER if fields.get(name) is not None}
    lines = [f"{name} = {_shown(value)}" for name, value in found.items()]
    return Answer("\n".join(lines) if lines else "No limits found, default system limits apply", data=found)


def _shown(value: Any) -> str:
    """As Python shows it: `True`, `['nodejs:20']`; texts bare."""
    return str(list(value)) if isinstance(value, tuple) else str(value)


async def delete_limits(store: SubjectStore, wanted: LimitsOf) -> Answer:
    try:
        await store.delete_limits(wanted.namespace)
    except DocumentMissing:
        return Answer(f"Failed to delete limits ({_NOT_FOUND})", 1)
    return Answer("Limits deleted")


_OPERATIONS: Final[dict[str, tuple[Callable[[SubjectStore, Any], Awaitable[Answer]], type[Any]]]] = {
    "user create": (create_user, UserCreate),
    "user get": (get_user, UserGet),
    "user whois": (whois, UserWhois),
    "user list": (list_users, UserList),
    "user delete": (delete_user, UserDelete),
    "user block": (block, Subjects),
    "user unblock": (unblock, Subjects),
    "limits set": (set_limits, LimitsSet),
    "limits get": (get_limits, LimitsOf),
    "limits delete": (delete_limits, LimitsOf),
}


async def _run(store: SubjectStore, command: str, arguments: dict[str, Any]) -> Answer:
    operation, shape = _OPERATIONS[command]
    try:
        wanted = msgspec.convert(arguments, shape)
    except msgspec.ValidationError as error:
        return Answer(f"{command}: {error}", 2)
    return await operation(store, wanted)


def operations(store: SubjectStore) -> dict[str, Callable[[dict[str, Any]], Awaitable[Answer]]]:
    """Command -> operation on `store`; arguments as the structures above have them."""
    return {command: partial(_run, store, command) for command in _OPERATIONS}
