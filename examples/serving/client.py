"""Classifies image files with a server: `server.py` here, or TensorFlow Serving.

python examples/serving/client.py photo.jpg another.png
"""

import argparse
import base64
import json
import urllib.request
from pathlib import Path

URL = "http://127.0.0.1:8501/v1/models/nasnet:predict"


def classify(files: list[bytes], url: str = URL) -> list[dict]:
    """Classes and scores for each JPEG or PNG file.

    Raises:
        urllib.error.HTTPError: status 400 if one of them is not an image; its body says why.
    """
    instances = [{"image_bytes": {"b64": base64.b64encode(file).decode()}} for file in files]
    body = {"signature_name": "serving_bytes", "instances": instances}
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as response:
        return json.load(response)["predictions"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--url", default=URL)
    options = parser.parse_args()
    answers = classify([path.read_bytes() for path in options.images], options.url)
    for path, answer in zip(options.images, answers, strict=True):
        for name, score in zip(answer["classes"], answer["scores"], strict=True):
            print(f"{path}  {name}  {score:.1%}")


if __name__ == "__main__":
    main()
