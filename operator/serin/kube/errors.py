"""What an API call can end with, by what the caller does about it rather than by number."""


class KubeError(Exception):
    """The API server refused, or did not answer; nothing is assumed about the effect.

    Args:
        message: a sentence, without credentials.
        status: HTTP status; 0 when there was no answer.
        reason: Kubernetes's reason, for example `AlreadyExists`.
    """

    def __init__(self, message: str, status: int = 0, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class NotFound(KubeError):  # noqa: N818 - the API's own word
    """404."""


class Conflict(KubeError):  # noqa: N818 - the API's own word
    """409: somebody else was faster, or it exists already."""


class Invalid(KubeError):  # noqa: N818 - the API's own word
    """400 or 422: the object is not acceptable; trying again does not help."""


class Forbidden(KubeError):  # noqa: N818 - the API's own word
    """401 or 403: a permission is missing."""


class Unavailable(KubeError):  # noqa: N818 - the API's own word
    """429, 5xx, a timeout or no connection: trying again later may help."""


def error_for(status: int, reason: str, message: str) -> KubeError:
    """The error class of an HTTP status."""
    # 410 is a page or a watch that expired, not an object that is absent: asking again helps.
    kinds: dict[int, type[KubeError]] = {
        400: Invalid, 401: Forbidden, 403: Forbidden, 404: NotFound, 409: Conflict, 422: Invalid,
    }  # fmt: skip
    return kinds.get(status, Unavailable)(message, status, reason)
