"""The lines that `wsk` prints, which scripts compare, and what this command adds to errors."""

from __future__ import annotations

from typing import Final

PROGRAM: Final = "upwhisk"

NO_HOST: Final = "The API host is not valid: An API host must be provided."
NO_AUTH: Final = "Authorization key is not configured (--auth is required)"
USAGE_LINE: Final = f"Run '{PROGRAM} --help' for usage."

ACTION_NAME: Final = "An action name is required."
ACTION_AND_CODE: Final = "An action name and code artifact are required."
ACTION_OPTIONAL_CODE: Final = "An action name is required. A code artifact is optional."
ACTIVATION_ID: Final = "An activation ID is required."
PACKAGE_NAME: Final = "A package name is required."
PACKAGE_AND_BINDING: Final = "A package name and binding name are required."
TRIGGER_NAME: Final = "A trigger name is required."
TRIGGER_AND_PAYLOAD: Final = "A trigger name is required. A payload is optional."
RULE_NAME: Final = "A rule name is required."
RULE_TRIGGER_ACTION: Final = "A rule, trigger and action name are required."
NO_ARGUMENTS: Final = "No arguments are required."
ONLY_NAMESPACE: Final = "An optional namespace is the only valid argument."

KIND_AND_DOCKER: Final = "Cannot specify both --kind and --docker at the same time."
ZIP_KIND: Final = "creating an action from a .zip artifact requires specifying the action kind explicitly"
WEB_SECURE: Final = "The --web-secure option is only valid when the --web option is enabled."
JAVA_MAIN: Final = "Java actions require --main to specify the fully-qualified name of the main class"
NO_SEQUENCE_CODE: Final = "Cannot save action sequences"
SEQUENCE_HAS_NO_CODE: Final = "A sequence has no code that --kind, --main or --native could be said of."
NO_IMAGE_CODE: Final = "Cannot save Docker images"
NO_ACTIVATIONS: Final = "Activation list does not contain any activations."

HINT_NO_HOST: Final = (
    f"name it with --apihost, WHISK_APIHOST or '{PROGRAM} property set --apihost http://HOST:PORT'; a platform started"
    f" with '{PROGRAM} standalone' prints the line that does all of it: export WSK_CONFIG_FILE=..."
)
HINT_NO_AUTH: Final = (
    f"give it with --auth, WHISK_AUTH or '{PROGRAM} property set --auth UUID:KEY'; a key is printed by"
    f" '{PROGRAM} admin user get SUBJECT'"
)
HINT_UNREACHABLE: Final = (
    f"is the platform running there? Start one with '{PROGRAM} standalone'; '{PROGRAM} property get --apihost' shows"
    " the host that is used"
)
HINT_SLOW: Final = f"look at the platform's log, or call without --blocking and ask later with '{PROGRAM} activation get --last'"
HINT_CERTIFICATE: Final = "if you trust that host, add --insecure (-i)"
HINT_PLAIN: Final = "does that host speak plain HTTP? Then write http:// before its name"
HINT_NOT_HTTP: Final = "does that host want TLS? Then write https:// before its name"
HINT_OTHER_SERVER: Final = (
    f"what answers there does not speak OpenWhisk's API; '{PROGRAM} property get --apihost' shows the host that is used"
)
HINT_STATUS: Final = {
    401: f"check the key: '{PROGRAM} property get --auth' shows the one that is used, '{PROGRAM} admin user get SUBJECT'"
    " the right one",
    429: "wait a moment and try again",
    503: "the platform is starting, stopping or overloaded, or cannot keep new work: try again in a moment; /health on its"
    " host says more",
}


def no_answer(status: int) -> str:
    return f"The connection failed, or timed out. (HTTP status code {status})"


def not_supported(extension: str) -> str:
    return f"'{extension}' is not a supported action runtime"


def bad_web(value: str) -> str:
    return f"Invalid argument '{value}' for --web flag. Valid input consist of 'yes', 'true', 'raw', 'false', or 'no'."


def bad_field(field: str) -> str:
    return f"Invalid field filter '{field}'."


def no_list(collection: str, namespace: str) -> str:
    shown = "default" if namespace == "_" else namespace
    return f"Unable to obtain the list of {collection} for namespace '{shown}'"


def list_hint(noun: str) -> dict[int, str]:
    return {404: f"'{PROGRAM} {noun} list' shows the names there are"}


def exists_hint(noun: str) -> dict[int, str]:
    return {409: f"to change what is there use '{PROGRAM} {noun} update'"}
