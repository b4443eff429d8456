"""Serves an exported SavedModel over HTTP, with TensorFlow Serving's requests and responses.

    keras-nasnet export run model
    python examples/serving/server.py model --port 8501

A request is a batch of files. If one is not an image, the response is status 400 and the
reason; `client.py` shows requests and responses.
"""

import argparse
import base64

import litserve
import tensorflow as tf
from fastapi import HTTPException

PATH = "/v1/models/nasnet:predict"


class Classifier(litserve.LitAPI):
    """Classes and scores for JPEG and PNG files."""

    def __init__(self, model):
        super().__init__(api_path=PATH)
        self.model = model

    def setup(self, device):
        self.classify = tf.saved_model.load(self.model).signatures["serving_bytes"]

    def decode_request(self, request):
        try:
            encoded = [instance["image_bytes"]["b64"] for instance in request["instances"]]
            return [base64.b64decode(text, validate=True) for text in encoded]
        except (KeyError, TypeError, ValueError) as error:
            reason = "wanted {'instances': [{'image_bytes': {'b64': '...'}}, ...]}"
            raise HTTPException(400, reason) from error

    def predict(self, files):
        try:
            return self.classify(image_bytes=tf.constant(files, tf.string, (len(files),)))
        except tf.errors.InvalidArgumentError as error:
            raise HTTPException(400, f"not an image: {error.message}") from error

    def encode_response(self, outputs):
        classes = outputs["classes"].numpy().astype("U").tolist()
        scores = outputs["scores"].numpy().tolist()
        pairs = zip(classes, scores, strict=True)
        return {"predictions": [{"classes": names, "scores": best} for names, best in pairs]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="folder written by keras-nasnet export")
    parser.add_argument("--port", type=int, default=8501)
    parser.add_argument(
        "--workers", type=int, default=1, help="processes, each with its own copy of the model"
    )
    options = parser.parse_args()
    server = litserve.LitServer(
        Classifier(options.model), accelerator="cpu", workers_per_device=options.workers
    )
    server.run(host="127.0.0.1", port=options.port, generate_client_file=False)


if __name__ == "__main__":
    main()
