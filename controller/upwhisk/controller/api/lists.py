"""Lists of entities: paging and counting."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import msgspec

from upwhisk.common.model.action import Action
from upwhisk.common.model.package import Package
from upwhisk.common.model.rule import Rule
from upwhisk.common.model.trigger import Trigger
from upwhisk.common.spi.store import EntityQuery
from upwhisk.controller.api.ports import Services
from upwhisk.controller.api.query import page
from upwhisk.controller.api.reply import Reply, json_reply
from upwhisk.controller.api.request import Request
from upwhisk.controller.api.views import View
from upwhisk.controller.catalog import read_document

E = TypeVar("E", Action, Package, Trigger, Rule)


async def list_entities(
    services: Services, request: Request, query: EntityQuery, row: Callable[[E], View]
) -> Reply:
    """`query` says which; the request's `skip`, `limit` and `count` say how many."""
    wanted = page(request.query, query.collection, services.limits)
    query = msgspec.structs.replace(query, skip=wanted.skip, limit=wanted.limit)
    if wanted.count:
        return json_reply({query.collection: await services.entities.count(query)})
    documents = await services.entities.list(query)
    return json_reply([row(cast(E, read_document(document))) for document in documents])
