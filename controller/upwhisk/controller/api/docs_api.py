"""What the API says of itself: a Swagger document, and the page that shows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from upwhisk.controller.api.docs_page import page
from upwhisk.controller.api.reply import Reply, encode
from upwhisk.controller.api.request import Request

_HTML: Final = "text/html; charset=UTF-8"
_CONFINED: Final = "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\n"


class DocsApi:
    """`base`: the path that the documents lie below; `made` makes the Swagger document, once."""

    def __init__(self, base: str, made: Callable[[], dict[str, Any]]) -> None:
        self._base = base
        self._made = made
        self._document: dict[str, Any] = {}

    def _known(self) -> dict[str, Any]:
        self._document = self._document or self._made()
        return self._document

    async def document(self, _request: Request) -> Reply:
        return Reply(200, encode(self._known()))

    async def redirect(self, _request: Request) -> Reply:
        return Reply(308, headers=f"Location: {self._base}/docs/index.html?url={self._source}\r\n")

    async def page(self, _request: Request) -> Reply:
        return Reply(200, page(self._known(), self._source), _HTML, _CONFINED)

    @property
    def _source(self) -> str:
        return f"{self._base}/api-docs"
