"""The fleet with TLS between all parts: it works, and what comes without a certificate or trust does not get in."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator

import pytest
from compose.callers import Api
from compose.files import BASE, is_one_shot, services
from compose.images import Images
from compose.stack import Stack
from services.errors import Unavailable

pytestmark = [pytest.mark.external_service, pytest.mark.slow, pytest.mark.timeout(900)]

FILES = (BASE, "compose.tls.yaml", "compose.small.yaml")
ASK_API = textwrap.dedent("""
    import os, urllib.error, urllib.request
    def main(a):
        try:
            urllib.request.urlopen(os.environ["__OW_API_HOST"] + "/api/v1/namespaces/_/actions", timeout=5)
        except urllib.error.HTTPError as error:
            return {"status": error.code}
""")


@pytest.fixture(scope="module")
def stack(images: tuple[str, Images], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    made = Stack(tmp_path_factory.mktemp("tls"), images[0], "upwhisk-tls")
    try:
        made.up(*FILES)
        yield made
    finally:
        made.down(*FILES)


def test_it_works_as_without(stack: Stack) -> None:
    api = Api(stack, tls=True)
    api.deploy("hello", "def main(a):\n    return {'n': 1}")
    assert api.invoke("hello") == (200, {"n": 1})
    status, health = api.call("GET", "/health")
    assert (status, health["status"]) == (200, "ok")
    api.deploy("asks", ASK_API)
    assert api.invoke("asks") == (200, {"status": 401}), "guests reach the API, which speaks TLS, by their relay"
    for name, service in services(FILES).items():
        if not is_one_shot(service) and "profiles" not in service:
            assert stack.inspect(name)["State"]["Health"]["Status"] == "healthy", name


def test_the_api_speaks_tls_alone_and_to_those_who_trust_it(stack: Stack) -> None:
    assert Api(stack).call("GET", "/ping")[0] != 200
    stranger = Api(stack, tls=True)
    stranger._context = None
    status, why = stranger.call("GET", "/ping")
    assert status == 0
    assert "CERTIFICATE_VERIFY_FAILED" in why


def test_services_want_tls_and_a_certificate(stack: Stack) -> None:
    code = textwrap.dedent("""
        import json, socket, ssl
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        def tls(host, port, say):
            try:
                with trusting.wrap_socket(socket.create_connection((host, port), 5), server_hostname=host) as there:
                    there.sendall(say)
                    there.settimeout(5)
                    return there.recv(32).decode(errors="replace").split("\\r")[0]
            except OSError as error:
                return type(error).__name__
        def plain(host, port, say):
            with socket.create_connection((host, port), 5) as there:
                there.sendall(say)
                there.settimeout(5)
                try:
                    return there.recv(32).decode(errors="replace").split("\\r")[0]
                except OSError as error:
                    return type(error).__name__
        get = b"GET /v1/status/leader HTTP/1.0\\r\\n\\r\\n"
        versions = bytes.fromhex("00000010" "0012" "0000" "00000001" "0006") + b"nobody"
        print(json.dumps({
            "couchdb": tls("couchdb", 6984, b"GET /_all_dbs HTTP/1.0\\r\\n\\r\\n"), "consul": tls("consul", 8500, get),
            "consul plain": plain("consul", 8500, get), "kafka": tls("kafka", 9092, versions),
            "kafka plain": plain("kafka", 9092, versions), "controller plain": plain("controller-1", 3233, get),
        }))
    """)
    found = json.loads(stack.beside("data", code))
    assert found["couchdb"].startswith("HTTP/1.1 401")
    assert "200" not in found["consul"], "without a certificate of the fleet's nobody is heard"
    assert "HTTP/1.0 400" in found["consul plain"]
    for name in ("kafka", "kafka plain", "controller plain"):
        assert found[name] in ("", "SSLError", "ConnectionResetError", "SSLEOFError") or "HTTP" not in found[name], found
    assert not found["kafka"] or found["kafka"].endswith("Error")


def test_a_wrong_authority_is_one_clear_error(stack: Stack) -> None:
    """A controller that trusts another authority names the setting and ends."""
    environment = {"UPWHISK_COUCHDB_CA_FILE": "/secrets/controller.pem"}
    words = [word for name, value in environment.items() for word in ("--env", f"{name}={value}")]
    with pytest.raises(Unavailable) as caught:
        stack.compose(FILES, "run", "--rm", "--no-deps", *words, "controller-1")
    said = [line for line in str(caught.value).splitlines() if line.startswith("error:")]
    assert len(said) == 1
    assert "couchdb.ca_file" in said[0]
