"""What OpenAPI says of each request."""

from typing import Any

from pydantic import BaseModel, Field

from keras_nasnet.serving.body import FORMATS, JSON, MULTIPART
from keras_nasnet.serving.refused import STATUSES


class Problem(BaseModel):
    """Why there is no answer."""

    kind: str = Field(description=", ".join(STATUSES))
    message: str


class Error(BaseModel):
    """An answer that is an error."""

    error: Problem


class Prediction(BaseModel):
    """A class of an image."""

    name: str = Field(alias="class")
    probability: float
    map: list[list[float]] | None = Field(
        None, description="class activation map: rows of the image, from above"
    )


class Predicted(BaseModel):
    """What an image shows; or an error, if it is not among those that could be read."""

    name: str | None = Field(description="the file's name, if the request has it")
    predictions: list[Prediction] | None = None
    error: Problem | None = None


class Predictions(BaseModel):
    """An item for each image, in order."""

    images: list[Predicted]


class Embedded(BaseModel):
    """The features of an image, or an error."""

    name: str | None
    features: list[float] | None = None
    error: Problem | None = None


class Embeddings(BaseModel):
    """An item for each image, in order."""

    images: list[Embedded]


class Status(BaseModel):
    """How the server is."""

    status: str


class About(BaseModel):
    """The model, and what its server accepts."""

    name: str
    runtime: str
    precision: str
    input_size: tuple[int, int] = Field(description="height and width")
    classes: list[str]
    features: int | None = Field(description="numbers that /embed gives; null if there are none")
    why_no_features: str | None
    card: dict[str, str]
    limits: dict[str, float]


_FILE = {"type": "string", "format": "binary"}
_IMAGES = {
    "requestBody": {
        "required": True,
        "content": {
            MULTIPART: {
                "schema": {
                    "type": "object",
                    "required": ["images"],
                    "properties": {"images": {"type": "array", "items": _FILE}},
                }
            },
            JSON: {
                "schema": {
                    "type": "object",
                    "required": ["images"],
                    "properties": {
                        "images": {
                            "type": "array",
                            "items": {"type": "string", "format": "byte"},
                        }
                    },
                }
            },
            **{kind: {"schema": _FILE} for kind in FORMATS},
        },
    }
}


def _route(summary: str, model: type[BaseModel] | None, *statuses: int, **more: Any) -> Any:
    responses: dict[int, Any] = {status: {"model": Error} for status in statuses}
    if model is not None:
        responses[200] = {"model": model}
    return {"summary": summary, "response_model": None, "responses": responses, **more}


_REFUSED = (400, 401, 408, 413, 415, 429, 500, 503)
PREDICT = _route(
    "Classes of images", Predictions, *_REFUSED, 501, openapi_extra=_IMAGES, name="predict"
)
EMBED = _route("Features of images", Embeddings, *_REFUSED, 501, openapi_extra=_IMAGES)
MODEL = _route("The model", About, 401)
HEALTH = _route("Whether the process is alive", Status)
READY = _route("Whether requests are answered in time", Status, 503)
METRICS = _route("Figures for Prometheus", None, 401)
