"""Whether a fleet serves: a blocking call through each controller that is to be there."""

from __future__ import annotations

import base64
import http.client
import json
import time
from urllib.parse import urlsplit

from fleet.fleet import Fleet

_IN_A_ROW = 2
_ANSWER_S = 3.0


class Probe:
    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._headers = {
            "Authorization": "Basic " + base64.b64encode(fleet.key.encode()).decode(),
            "Content-Type": "application/json",
        }
        self.last = ""

    def wait_well(self, within_s: float) -> bool:
        """Each controller has answered two calls in a row, and every node is healthy."""
        deadline = time.monotonic() + within_s
        in_a_row = 0
        while in_a_row < _IN_A_ROW:
            if time.monotonic() > deadline:
                return False
            in_a_row = in_a_row + 1 if all(self._answers(url) for url in self._fleet.urls) else 0
            time.sleep(0.1)
        return True

    def _answers(self, url: str) -> bool:
        try:
            status, body = self._ask(url, "POST", "/api/v1/namespaces/_/actions/probe?blocking=true", "{}")
            _, invokers = self._ask(url, "GET", "/invokers", None)
            states = list(json.loads(invokers).values())
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.last = f"{url}: {error!r}"
            return False
        self.last = f"{url}: {status} {body[:300]!r}, nodes {states}"
        return status == 200 and states == ["up"] * len(self._fleet.invokers)

    def _ask(self, url: str, method: str, path: str, body: str | None) -> tuple[int, bytes]:
        where = urlsplit(url)
        connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=_ANSWER_S)
        try:
            connection.request(method, path, body, self._headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()
