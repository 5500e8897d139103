"""Serves /init and /run on port 8080 with the standard library's server; runs the Python of `code`, as the probe does."""

from __future__ import annotations

import json
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
        scope: dict[str, object] = {}
        try:
            exec(body.get("code", ""), scope)
            result = {"result": scope.get("result")}
        except BaseException as error:  # noqa: BLE001 - whatever the code under test raises is an answer
            result = {"error": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()}
        answer = json.dumps(result).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        return


ThreadingHTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
