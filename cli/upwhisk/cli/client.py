"""Requests to the API, with the standard library alone so that commands start quickly."""

from __future__ import annotations

import json
import sys
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from upwhisk.cli import texts
from upwhisk.cli.failure import GENERAL, NETWORK, USAGE, ClientError, Failure
from upwhisk.cli.wskprops import Properties

if TYPE_CHECKING:
    import http.client
    import ssl

READ_TIMEOUT_S = 90.0
"""A blocking call is answered within a minute; this is for a platform that does not answer at all."""
_PATH_SAFE = "/$&+,:;=@"


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    data: Any
    """The body's JSON, or its text if it is none."""
    activation_id: str = ""
    """Of the activation that the call made, if the answer names one."""


def base_url(host: str) -> str:
    """`https` unless `host` says otherwise. `Failure` if there is no host in it."""
    if not host:
        raise Failure(texts.NO_HOST, usage=True, hint=texts.HINT_NO_HOST)
    url = host if "://" in host else f"https://{host}"
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        known = False
    if not known or any(character <= " " for character in url):
        raise Failure(f"The API host is not valid: '{host}' is no host name.", usage=True, hint=texts.HINT_NO_HOST)
    return url.rstrip("/")


class Client:
    """One connection, opened with the first request. `verbose`: requests and answers go to standard error."""

    def __init__(
        self, properties: Properties, *, insecure: bool = False, verbose: bool = False, timeout_s: float = READ_TIMEOUT_S
    ) -> None:
        self._properties = properties
        self._insecure = insecure
        self._verbose = verbose
        self._timeout_s = timeout_s
        self._connection: http.client.HTTPConnection | None = None

    @property
    def namespace(self) -> str:
        return self._properties.namespace

    def get(self, route: str, query: Mapping[str, Any] | None = None, *, namespace: str = "_") -> dict[str, Any]:
        """One object. `ClientError` if something else comes, for instance a page of another kind of server."""
        reply = self.call("GET", route, query, namespace=namespace)
        if not isinstance(reply.data, dict):
            raise _other_server(reply)
        return reply.data

    def rows(self, route: str, query: Mapping[str, Any], *, namespace: str = "_") -> list[dict[str, Any]]:
        """A list of objects; `ClientError` if something else comes."""
        reply = self.call("GET", route, query, namespace=namespace)
        if not isinstance(reply.data, list) or not all(isinstance(row, dict) for row in reply.data):
            raise _other_server(reply)
        return reply.data

    def put(self, route: str, body: Any, *, overwrite: bool, namespace: str = "_") -> Any:
        return self.call("PUT", route, {"overwrite": overwrite}, body, namespace=namespace).data

    def delete(self, route: str, *, namespace: str = "_") -> Any:
        return self.call("DELETE", route, namespace=namespace).data

    def call(
        self,
        method: str,
        route: str,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        *,
        namespace: str = "_",
    ) -> Reply:
        """One call below `/namespaces/NAMESPACE/`. `ClientError` for every answer that is not 2xx."""
        return self._checked(self.send(method, route, query, body, namespace=namespace))

    def send(
        self,
        method: str,
        route: str,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        *,
        namespace: str = "_",
    ) -> Reply:
        """The same, whatever the status."""
        path = quote(f"namespaces/{namespace}/{route}", safe=_PATH_SAFE) + encoded(query)
        return self.exchange(method, path, body)

    def own(self, route: str) -> dict[str, Any]:
        """One object of what OpenWhisk's API lacks, below `/upwhisk/v1/`. `ClientError` as from `get`."""
        reply = self._checked(self.exchange("GET", quote(route, safe=_PATH_SAFE), root="upwhisk/v1"))
        if not isinstance(reply.data, dict):
            raise _other_server(reply)
        return reply.data

    def namespaces(self) -> list[str]:
        data = self._checked(self.exchange("GET", "namespaces")).data
        return [str(name) for name in data] if isinstance(data, list) else []

    def info(self) -> dict[str, Any]:
        """What the API says of itself; carries no key."""
        data = self._checked(self.exchange("GET", "", auth=False)).data
        return data if isinstance(data, dict) else {}

    def exchange(self, method: str, path: str, body: Any = None, *, auth: bool = True, root: str = "") -> Reply:
        """Send and read, whatever the status. `path` is below `root` (`api/v1`), quoted."""
        import http.client  # takes longer to load than all else here: help texts do without it

        base = urlsplit(base_url(self._properties.api_host))
        root = root or f"api/{self._properties.api_version}"
        target = f"{base.path}/{root}" + (f"/{path}" if path else "")
        headers = {"User-Agent": "upwhisk-cli"}
        if auth:
            headers["Authorization"] = self._authorization()
        data = None
        if body is not None:
            data = (json.dumps(body, ensure_ascii=False, separators=(",", ":")) + "\n").encode("utf-8", "surrogatepass")
            headers["Content-Type"] = "application/json"
        url = f"{base.scheme}://{base.netloc}{target}"
        self._trace(f"REQUEST:\n[{method}]\t{url}", {**headers, "Authorization": "*"} if auth else headers, data)
        try:
            status, raw, made = self._transfer(base.scheme, base.netloc, method, target, data, headers)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise _unreachable(error, f'{method.title()} "{url}"', base.scheme) from None
        self._trace(f"RESPONSE:Got response with code {status}", {}, raw)
        return Reply(status, _decoded(raw), made)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _transfer(
        self, scheme: str, netloc: str, method: str, target: str, data: bytes | None, headers: dict[str, str]
    ) -> tuple[int, bytes, str]:
        fresh = self._connection is None
        if self._connection is None:
            self._connection = self._connect(scheme, netloc)
        try:
            self._connection.request(method, target, data, headers)
            answer = self._connection.getresponse()
        except (ConnectionResetError, BrokenPipeError):
            # The platform may have closed an idle connection; a read can safely be repeated on a new one.
            if fresh or method != "GET":
                raise
            self.close()
            return self._transfer(scheme, netloc, method, target, data, headers)
        return answer.status, answer.read(), answer.headers.get("x-openwhisk-activation-id", "")

    def _connect(self, scheme: str, netloc: str) -> http.client.HTTPConnection:
        import http.client

        host = netloc.rpartition("@")[2]
        if scheme == "http":
            return http.client.HTTPConnection(host, timeout=self._timeout_s)
        import ssl

        context = ssl.create_default_context()
        if self._insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        self._load_certificate(context)
        return http.client.HTTPSConnection(host, timeout=self._timeout_s, context=context)

    def _load_certificate(self, context: ssl.SSLContext) -> None:
        cert, key = self._properties.cert, self._properties.key
        if not cert:
            return
        try:
            context.load_cert_chain(cert, key or None)
        except OSError as error:
            text = f"Unable to read the client certificate '{cert}'" + (f" or its key '{key}'" if key else "")
            raise Failure(f"{text}: {error.strerror or error}", hint="both are PEM files") from None

    def _authorization(self) -> str:
        if not self._properties.auth:
            raise Failure(texts.NO_AUTH, USAGE, usage=True, hint=texts.HINT_NO_AUTH)
        return "Basic " + b64encode(self._properties.auth.encode()).decode("ascii")

    def _checked(self, reply: Reply) -> Reply:
        if 200 <= reply.status < 300:
            return reply
        raise refusal(reply)

    def _trace(self, title: str, headers: Mapping[str, str], body: bytes | None) -> None:
        if not self._verbose:
            return
        lines = [title, *(f"{name}: {value}" for name, value in headers.items())]
        if body:
            lines.append(body.decode("utf-8", "replace").rstrip("\n"))
        print("\n".join(lines), file=sys.stderr)


def encoded(query: Mapping[str, Any] | None) -> str:
    """Keys in alphabetical order; what is None is left out."""
    given = {key: value for key, value in sorted((query or {}).items()) if value is not None}
    texts_of = {key: str(value).lower() if isinstance(value, bool) else value for key, value in given.items()}
    return "?" + urlencode(texts_of) if texts_of else ""


def exit_code(status: int) -> int:
    """What `wsk` makes of an HTTP status: its number less 256, as a process may end with."""
    return (status - 256) % 256


def refusal(reply: Reply) -> ClientError:
    """The error behind an answer that is not 2xx."""
    data, status = reply.data, reply.status
    hint = texts.HINT_STATUS.get(status, "")
    if isinstance(data, dict) and "error" in data and "code" in data:
        return ClientError(f"{data['error']} (code {data['code']})", exit_code(status), status=status, hint=hint)
    return ClientError(texts.no_answer(status), exit_code(status), status=status, hint=hint or texts.HINT_OTHER_SERVER)


def _other_server(reply: Reply) -> ClientError:
    """An answer of success with something in it that the platform does not send there."""
    return ClientError(texts.no_answer(reply.status), GENERAL, status=reply.status, hint=texts.HINT_OTHER_SERVER)


def _decoded(raw: bytes) -> Any:
    try:
        return json.loads(raw) if raw else None
    except (ValueError, RecursionError):
        return raw.decode("utf-8", "replace")


def _unreachable(error: Exception, request: str, scheme: str) -> ClientError:
    """A network error in the words of a person, with what to do about it."""
    kind = type(error).__name__
    reason, hint = str(error) or kind, texts.HINT_UNREACHABLE
    if isinstance(error, ConnectionRefusedError):
        reason = "connection refused"
    elif isinstance(error, TimeoutError):
        reason, hint = "no answer in time", texts.HINT_SLOW
    elif kind == "SSLCertVerificationError":
        hint = texts.HINT_CERTIFICATE
    elif kind == "SSLError":
        hint = texts.HINT_PLAIN
    elif kind in ("RemoteDisconnected", "BadStatusLine"):
        reason, hint = "the connection was closed without an answer", texts.HINT_NOT_HTTP if scheme == "http" else hint
    elif isinstance(error, OSError) and error.strerror:
        reason = error.strerror
    return ClientError(f"{request}: {reason}", NETWORK, usage=True, hint=hint)
