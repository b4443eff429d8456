"""Classifies image files with a server, `keras-nasnet serve`.

python examples/serving/client.py photo.jpg another.png
"""

import argparse
import base64
import json
import sys
import urllib.error
import urllib.request
from pathlib import Path

URL = "http://127.0.0.1:8000"


def classify(files: list[bytes], url: str = URL, token: str | None = None) -> list[dict]:
    """What each image file shows.

    Args:
        files: contents of JPEG, PNG, WebP, GIF, AVIF, BMP or TIFF files.
        url: of the server.
        token: the server's `--token`, if it has one.

    Returns:
        For each file a dictionary with `predictions`, a list of dictionaries of `class` and
        `probability`, best first; or with `error`, which has a `kind` and a `message`.

    Raises:
        urllib.error.HTTPError: if the server refuses all of them; its body says why, as JSON.
    """
    body = {"images": [base64.b64encode(file).decode() for file in files]}
    headers = {"Content-Type": "application/json"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(f"{url}/predict", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request) as response:
        return json.load(response)["images"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--url", default=URL)
    parser.add_argument("--token")
    options = parser.parse_args()
    files = [path.read_bytes() for path in options.images]
    try:
        answers = classify(files, options.url, options.token)
    except urllib.error.HTTPError as error:
        sys.exit(json.load(error)["error"]["message"])
    for path, answer in zip(options.images, answers, strict=True):
        for found in answer.get("predictions", ()):
            print(f"{path}  {found['class']}  {found['probability']:.1%}")
        if "error" in answer:
            print(f"{path}: {answer['error']['message']}", file=sys.stderr)


if __name__ == "__main__":
    main()
