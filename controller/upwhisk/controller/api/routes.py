"""The table of routes, one line each, and what composes the listener from it."""

from __future__ import annotations

from collections import Counter
from importlib.metadata import PackageNotFoundError, version

from prometheus_client import CollectorRegistry

from upwhisk.controller.api.actions import ActionsApi
from upwhisk.controller.api.activations import ActivationsApi, LiveApi
from upwhisk.controller.api.apidocs import API, platform_swagger, swagger
from upwhisk.controller.api.disabling import DisableApi
from upwhisk.controller.api.docs_api import DocsApi
from upwhisk.controller.api.information import InformationApi, LaterApi
from upwhisk.controller.api.namespaces import NamespacesApi
from upwhisk.controller.api.operators import OperatorsApi, RequestCollector
from upwhisk.controller.api.packages import PackagesApi
from upwhisk.controller.api.ports import Services
from upwhisk.controller.api.presence import Presence
from upwhisk.controller.api.routing import Access, Route, Router
from upwhisk.controller.api.rules import RulesApi
from upwhisk.controller.api.server import ApiServer, ListenerSettings
from upwhisk.controller.api.triggers import TriggersApi
from upwhisk.controller.auth import Authenticator

_NS = "/api/v1/namespaces/{ns}"
_WEB = "/api/v1/web/{rest}"
_LIVE = "/upwhisk/v1/activations/{id}"


def api_server(
    settings: ListenerSettings, services: Services, authenticator: Authenticator, registry: CollectorRegistry
) -> ApiServer:
    """The listener with all routes. `registry` holds the process's metrics; the API's are added to it."""
    counts: Counter[tuple[str, int]] = Counter()
    registry.register(RequestCollector(counts))
    disabling, presence = DisableApi(settings.security.disable_token), Presence()
    router = Router(routes(services, registry, disabling, presence))
    server = ApiServer(settings, router, authenticator, counts, presence)
    disabling.on_disable = server.drain
    return server


def routes(
    services: Services, registry: CollectorRegistry, disabling: DisableApi, presence: Presence
) -> tuple[Route, ...]:
    entities = _entity_routes(services)
    release = _release()
    information = InformationApi(services, presence, build=release, buildno=release)
    around = (*_open_routes(information), *_operator_routes(OperatorsApi(services, registry, disabling), disabling))
    return (
        *around,
        *_docs_routes(API, DocsApi(API, lambda: swagger(entities))),
        *_docs_routes("", DocsApi("", lambda: platform_swagger(around))),
        *entities,
    )


def _docs_routes(base: str, docs: DocsApi) -> tuple[Route, ...]:
    return (
        Route("GET", f"{base}/api-docs", docs.document, Access.OPEN),
        Route("GET", f"{base}/docs", docs.redirect, Access.OPEN),
        Route("GET", f"{base}/docs/index.html", docs.page, Access.OPEN),
    )


def _open_routes(information: InformationApi) -> tuple[Route, ...]:
    later = LaterApi()
    return (
        Route("GET", "/", information.platform, Access.OPEN),
        Route("GET", "/ping", information.ping, Access.OPEN),
        Route("GET", "/api/v1", information.api, Access.OPEN),
        Route("GET", "/api/v1/", information.api, Access.OPEN),
        Route("GET", _WEB, later.web, Access.OPEN),
        Route("POST", _WEB, later.web, Access.OPEN),
        Route("PUT", _WEB, later.web, Access.OPEN),
        Route("DELETE", _WEB, later.web, Access.OPEN),
        Route("PATCH", _WEB, later.web, Access.OPEN),
        Route("HEAD", _WEB, later.web, Access.OPEN),
    )


def _operator_routes(operators: OperatorsApi, disabling: DisableApi) -> tuple[Route, ...]:
    return (
        Route("GET", "/health", operators.health, Access.OPEN),
        Route("GET", "/metrics", operators.metrics, Access.OPERATOR),
        Route("GET", "/invokers", operators.invokers, Access.OPERATOR),
        Route("GET", "/invokers/healthy/count", operators.healthy_count, Access.OPERATOR),
        Route("GET", "/invokers/ready", operators.ready, Access.OPERATOR),
        Route("POST", "/disable", disabling.disable, Access.OPEN),
        Route("GET", "/activation", operators.activations, Access.OPERATOR),
        Route("GET", "/activation/count", operators.activation_count, Access.OPERATOR),
    )


def _entity_routes(services: Services) -> tuple[Route, ...]:
    namespaces = NamespacesApi(services)
    return (
        Route("GET", "/api/v1/namespaces", namespaces.list),
        Route("GET", "/api/v1/namespaces/", namespaces.list),
        Route("GET", f"{_NS}/limits", namespaces.limits),
        Route("GET", f"{_NS}/limits/{{rest}}", namespaces.inner_limits),
        *_action_routes(ActionsApi(services)),
        *_package_routes(PackagesApi(services)),
        *_trigger_routes(TriggersApi(services)),
        *_rule_routes(RulesApi(services)),
        *_activation_routes(ActivationsApi(services), LiveApi(services)),
    )


def _action_routes(actions: ActionsApi) -> tuple[Route, ...]:
    simple, packaged = f"{_NS}/actions/{{name}}", f"{_NS}/actions/{{pkg}}/{{name}}"
    return (
        Route("GET", f"{_NS}/actions", actions.list),
        Route("GET", f"{_NS}/actions/", actions.list),
        Route("GET", simple, actions.get),
        Route("PUT", simple, actions.put),
        Route("DELETE", simple, actions.delete),
        Route("POST", simple, actions.invoke),
        Route("GET", f"{_NS}/actions/{{pkg}}/", actions.list_package),
        Route("GET", packaged, actions.get),
        Route("PUT", packaged, actions.put),
        Route("DELETE", packaged, actions.delete),
        Route("POST", packaged, actions.invoke),
    )


def _package_routes(packages: PackagesApi) -> tuple[Route, ...]:
    return (
        Route("GET", f"{_NS}/packages", packages.list),
        Route("GET", f"{_NS}/packages/", packages.list),
        Route("GET", f"{_NS}/packages/{{name}}", packages.get),
        Route("PUT", f"{_NS}/packages/{{name}}", packages.put),
        Route("DELETE", f"{_NS}/packages/{{name}}", packages.delete),
    )


def _trigger_routes(triggers: TriggersApi) -> tuple[Route, ...]:
    return (
        Route("GET", f"{_NS}/triggers", triggers.list),
        Route("GET", f"{_NS}/triggers/", triggers.list),
        Route("GET", f"{_NS}/triggers/{{name}}", triggers.get),
        Route("PUT", f"{_NS}/triggers/{{name}}", triggers.put),
        Route("DELETE", f"{_NS}/triggers/{{name}}", triggers.delete),
        Route("POST", f"{_NS}/triggers/{{name}}", triggers.fire),
    )


def _rule_routes(rules: RulesApi) -> tuple[Route, ...]:
    return (
        Route("GET", f"{_NS}/rules", rules.list),
        Route("GET", f"{_NS}/rules/", rules.list),
        Route("GET", f"{_NS}/rules/{{name}}", rules.get),
        Route("PUT", f"{_NS}/rules/{{name}}", rules.put),
        Route("DELETE", f"{_NS}/rules/{{name}}", rules.delete),
        Route("POST", f"{_NS}/rules/{{name}}", rules.set_status),
    )


def _activation_routes(activations: ActivationsApi, live: LiveApi) -> tuple[Route, ...]:
    return (
        Route("GET", f"{_NS}/activations", activations.list),
        Route("GET", f"{_NS}/activations/", activations.list),
        Route("GET", f"{_NS}/activations/{{id}}", activations.get),
        Route("GET", f"{_NS}/activations/{{id}}/result", activations.result),
        Route("GET", f"{_NS}/activations/{{id}}/logs", activations.log_lines),
        Route("GET", _LIVE, live.get),
        Route("DELETE", _LIVE, live.cancel),
        Route("GET", f"{_LIVE}/why", live.why),
    )


def _release() -> str:
    try:
        return version("upwhisk")
    except PackageNotFoundError:
        return "source"
