"""What can go wrong, and whose fault it is.

    UpwhiskError
    ├── CallerError                the request is at fault; carries an HTTP status
    │   ├── BadRequest             400
    │   ├── NotAuthenticated       401
    │   ├── NotAuthorized          403
    │   ├── NotFound               404
    │   ├── MethodNotAllowed       405
    │   ├── NotAcceptable          406
    │   ├── Conflict               409
    │   ├── TooLarge               413
    │   ├── UnsupportedMediaType   415
    │   ├── Unprocessable          422
    │   └── TooManyRequests        429
    ├── PlatformError              we are at fault
    │   ├── InternalError          500
    │   ├── NotYetAvailable        501
    │   └── Unavailable            503  overloaded, stopping, or a service is out of reach
    │       └── StoreUnavailable   503
    ├── StoreError                 raised by stores, translated by the controller
    │   ├── RevisionConflict       a write carried a stale revision, or the document exists already
    │   └── DocumentMissing        a delete or attachment read of a document that is not there
    ├── ContainerError             raised by container factories
    │   ├── ContainerCreateFailed  no container could be made (the platform's fault)
    │   ├── ImageMissing           the guest's image cannot be had (the developer's fault)
    │   ├── ImageUnfetched         the guest's image has to be fetched before a container is made of it
    │   └── ContainerGone          the container died, or was destroyed, before it answered
    └── StartupError               the process must not start; the text names what to mend
        ├── ConfigurationError     a setting is wrong: names it
        ├── ConfinementMissing     this host cannot confine guests: names what is missing
        └── DataFolderError        the data folder is in use, damaged or of a newer format

What user code does wrong is no exception but an outcome (`upwhisk.common.model.activation`).
"""

from __future__ import annotations

from typing import Self


class UpwhiskError(Exception):
    """The root of everything the project raises on purpose."""


class HttpError(UpwhiskError):
    """An error with an HTTP answer. `text` is what the caller reads in the field `error`."""

    status = 500
    default = "There was an internal server error."

    def __init__(self, text: str | None = None) -> None:
        self.text = self.default if text is None else text
        super().__init__(self.text)


class CallerError(HttpError):
    """The request is at fault."""

    status = 400


class BadRequest(CallerError):
    status = 400
    default = "The request is malformed."


class NotAuthenticated(CallerError):
    status = 401
    default = "The supplied authentication is invalid"


class NotAuthorized(CallerError):
    status = 403
    default = "The supplied authentication is not authorized to access this resource."


class NotFound(CallerError):
    status = 404
    default = "The requested resource does not exist."


class MethodNotAllowed(CallerError):
    """`allowed` are the methods that the path supports."""

    status = 405

    def __init__(self, allowed: tuple[str, ...]) -> None:
        self.allowed = allowed
        super().__init__(f"HTTP method not allowed, supported methods: {', '.join(allowed)}")


class NotAcceptable(CallerError):
    status = 406
    default = "Resource representation is only available with these types:\napplication/json"


class Conflict(CallerError):
    status = 409
    default = "The request could not be processed because of conflict in the request, such as an edit conflict."


class TooLarge(CallerError):
    status = 413
    default = "The request content is larger than the server is willing or able to process."


class UnsupportedMediaType(CallerError):
    status = 415

    def __init__(self, content_type: str) -> None:
        super().__init__(f"The request's Content-Type [{content_type}] is not supported. Expected:\napplication/json")


class Unprocessable(CallerError):
    status = 422


class TooManyRequests(CallerError):
    status = 429
    default = "Too many requests"


class PlatformError(HttpError):
    """We are at fault."""


class InternalError(PlatformError):
    status = 500


class NotYetAvailable(PlatformError):
    """A part of the API that a later release brings. `what` completes "... is not available yet"."""

    status = 501

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is not available yet")


class Unavailable(PlatformError):
    status = 503
    default = "The server is currently unavailable (because it is overloaded or down for maintenance)."

    @classmethod
    def because(cls, reason: str) -> Self:
        """The usual text, which clients know, and then the reason."""
        return cls(f"{cls.default.removesuffix('.')}: {reason}.")


class StoreUnavailable(Unavailable):
    """The artifact store cannot be reached, or is below its floor of free space."""


class Unconfirmed(StoreUnavailable):
    """It may be done or not: whoever tries again may have it twice. Not 503, which always means that nothing was done."""

    status = 502
    default = "It is not known whether the request was carried out."


class StoreError(UpwhiskError):
    """Raised by stores; `document_id` is the document concerned."""

    reason = "store error"

    def __init__(self, document_id: str) -> None:
        self.document_id = document_id
        super().__init__(f"{self.reason}: {document_id}")


class RevisionConflict(StoreError):
    reason = "stale revision, or the document exists already"


class DocumentMissing(StoreError):
    reason = "no such document"


class ContainerError(UpwhiskError):
    """Raised by container factories and containers."""


class ContainerCreateFailed(ContainerError):
    """The platform could not make a container."""


class ImageMissing(ContainerError):
    """The image an action names cannot be had; `image` is its reference."""

    def __init__(self, image: str) -> None:
        self.image = image
        super().__init__(f"Failed to pull container image '{image}'.")


class ImageUnfetched(ContainerError):
    """The image is not there (any more): whoever wants a container of it calls `ContainerFactory.prepare` first."""

    def __init__(self, image: str) -> None:
        self.image = image
        super().__init__(f"The container image '{image}' has not been fetched.")


class ContainerGone(ContainerError):
    """The container died or was destroyed before it answered. `oom`: its memory limit killed it."""

    def __init__(self, *, oom: bool = False) -> None:
        self.oom = oom
        super().__init__("the container exceeded its memory" if oom else "the container is gone")


class StartupError(UpwhiskError):
    """The process must not start; the message says what to mend."""


class ConfigurationError(StartupError):
    """`setting` is the dotted name in the configuration file, e.g. `server.port`."""

    def __init__(self, setting: str, text: str) -> None:
        self.setting = setting
        super().__init__(f"setting {setting}: {text}")


class ConfinementMissing(StartupError):
    """Guests cannot be confined here. `missing` are findings, each with its remedy."""

    def __init__(self, missing: tuple[str, ...]) -> None:
        self.missing = missing
        super().__init__("guests cannot be confined on this host:\n" + "\n".join(f"  - {m}" for m in missing))


class DataFolderError(StartupError):
    """The data folder is in use, damaged, or of a newer format."""


class FolderNotEmpty(DataFolderError):
    """Something is there that a restore would replace."""
