"""Query strings, read once per distinct text. ◆ pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final
from urllib.parse import parse_qsl

from upwhisk.common.errors import BadRequest
from upwhisk.common.model.limits import SystemLimits

Query = Mapping[str, str]
EMPTY: Final[Query] = MappingProxyType({})
_MAX_FIELDS: Final = 100
_MAX_CACHED: Final = 1024
_cache: dict[str, Query] = {}


def parse_query(raw: str) -> Query:
    """The last of equal names wins; a name without `=` has the empty value."""
    if not raw:
        return EMPTY
    found = _cache.get(raw)
    if found is not None:
        return found
    try:
        pairs = parse_qsl(raw, keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        raise BadRequest(f"The query has more than {_MAX_FIELDS} parameters.") from None
    query = MappingProxyType(dict(pairs))
    if len(_cache) >= _MAX_CACHED:
        _cache.clear()
    _cache[raw] = query
    return query


def malformed(name: str, detail: str) -> BadRequest:
    return BadRequest(f"The query parameter '{name}' was malformed:\n{detail}")


def flag(query: Query, name: str, default: bool = False) -> bool:
    value = query.get(name)
    if value is None:
        return default
    if value == "true":
        return True
    if value == "false":
        return False
    match value.lower():
        case "true":
            return True
        case "false":
            return False
    raise malformed(name, f"'{value}' is not a valid Boolean value")


@dataclass(frozen=True, slots=True)
class Page:
    skip: int
    limit: int
    count: bool


def page(query: Query, collection: str, limits: SystemLimits) -> Page:
    """`limit` 0 asks for the maximum."""
    limit = _integer(query, "limit", collection, limits.list_default)
    if not 0 <= limit <= limits.list_max:
        text = f"The value '{query['limit']}' is not in the range of 0 to {limits.list_max} for {collection}."
        raise malformed("limit", text)
    skip = _integer(query, "skip", collection, 0)
    if skip < 0:
        text = f"The value '{query['skip']}' is not greater than or equal to 0 for {collection}."
        raise malformed("skip", text)
    return Page(skip, limit or limits.list_max, flag(query, "count"))


def _integer(query: Query, name: str, collection: str, default: int) -> int:
    value = query.get(name)
    if value is None:
        return default
    number = decimal(value)
    if number is None or abs(number) >= 2**31:
        raise malformed(name, f"The value '{value}' is not an integer for {collection}.")
    return number


def decimal(text: str) -> int | None:
    """A decimal integer of at most 18 digits, with an optional sign; else None."""
    digits = text[1:] if text[:1] in ("-", "+") else text
    if not digits.isascii() or not digits.isdigit() or len(digits) > 18:
        return None
    return int(text)


def timestamp(query: Query, name: str) -> int | None:
    """ms since the epoch."""
    value = query.get(name)
    if value is None:
        return None
    number = decimal(value)
    if number is None:
        raise malformed(name, f"Parameter is not a valid value for epoch seconds: {value}")
    return number


def wait_ms(query: Query, longest: int) -> int:
    """How long a blocking caller wants to wait; bounds the wait, never the run."""
    value = query.get("timeout")
    if value is None:
        return longest
    number = decimal(value)
    if number is None or not 1 <= number <= longest:
        raise malformed("timeout", f"Timeout must be number of milliseconds up to {longest}.")
    return number
