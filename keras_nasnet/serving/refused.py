"""Why a request, or one image of it, gets no answer."""

from http import HTTPStatus
from typing import Any

STATUSES = {
    "malformed": HTTPStatus.BAD_REQUEST,
    "no_images": HTTPStatus.BAD_REQUEST,
    "unreadable_image": HTTPStatus.BAD_REQUEST,
    "unauthorized": HTTPStatus.UNAUTHORIZED,
    "too_slow": HTTPStatus.REQUEST_TIMEOUT,
    "body_too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "too_many_images": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "too_many_pixels": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "unsupported_type": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "busy": HTTPStatus.TOO_MANY_REQUESTS,
    "model_failed": HTTPStatus.INTERNAL_SERVER_ERROR,
    "no_features": HTTPStatus.NOT_IMPLEMENTED,
    "timeout": HTTPStatus.SERVICE_UNAVAILABLE,
}
RETRY_AFTER_S = 1


class RefusedError(Exception):
    """An error that is the client's answer.

    Args:
        kind: a key of `STATUSES`, which is in the answer and in the metrics.
        message: str, a sentence for the client.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message

    @property
    def status(self) -> HTTPStatus:
        """Of an answer that is only this error."""
        return STATUSES[self.kind]

    @property
    def headers(self) -> dict[str, str]:
        """Of such an answer."""
        if self.kind == "unauthorized":
            return {"WWW-Authenticate": "Bearer"}
        return {"Retry-After": str(RETRY_AFTER_S)} if self.kind in ("busy", "timeout") else {}

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"kind": self.kind, "message": self.message}
