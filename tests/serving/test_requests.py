"""What a server answers, of a model that tells colors."""

import base64
import contextlib
import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import requests
from support.pictures import BAD, huge_png
from support.servers import COLORS, as_json, colors, picture, serving

from keras_nasnet.serving.limits import Limits

JPEG = {"Content-Type": "image/jpeg"}


def best(answer):
    return [each["predictions"][0]["class"] for each in answer.json()["images"]]


def multipart(*files):
    return [("images", (f"{i}.png", file)) for i, file in enumerate(files)]


@pytest.fixture(scope="module")
def url():
    limits = Limits(max_bytes=200_000, max_images=12, max_pixels=10**6, queue=12)
    with serving(colors(), limits) as url:
        yield url


def test_one_or_many_in_every_way(url):
    files = [picture(2), picture(0, "WEBP"), picture(1, "GIF")]
    wanted = [COLORS[i] for i in (2, 0, 1)]
    many = requests.post(f"{url}/predict", files=multipart(*files))
    assert best(many) == wanted
    assert [each["name"] for each in many.json()["images"]] == ["0.png", "1.png", "2.png"]
    json_type = {"Content-Type": "application/json; charset=utf-8"}
    assert best(requests.post(f"{url}/predict", as_json(files), headers=json_type)) == wanted
    for file, color in zip(files, wanted, strict=True):
        assert best(requests.post(f"{url}/predict", file, headers=JPEG)) == [color]


def test_probabilities_and_maps_of_the_best(url):
    answer = requests.post(f"{url}/predict?top=2&maps=1", picture(1), headers=JPEG).json()
    (image,) = answer["images"]
    first, second = image["predictions"]
    assert first["class"] == "green"
    assert first["probability"] > 0.99 > 0.01 > second["probability"]
    np.testing.assert_allclose(first["map"], np.full((4, 4), 200 / 255), atol=1e-5)
    assert image["name"] is None
    plain = requests.post(f"{url}/predict", picture(1), headers=JPEG).json()["images"][0]
    assert [set(each) for each in plain["predictions"]] == [{"class", "probability"}] * 3


def test_features(url):
    files = multipart(picture(0), b"no image")
    first, second = requests.post(f"{url}/embed", files=files).json()["images"]
    np.testing.assert_allclose(first["features"], [200 / 255, 0, 0], atol=1e-6)
    assert second["error"]["kind"] == "unreadable_image"


def test_a_bad_image_is_its_own_error(url):
    files = [picture(i % 3) for i in range(10)]
    files[7] = picture(0, "JPEG")[:-100]
    answer = requests.post(f"{url}/predict", files=multipart(*files))
    assert answer.status_code == 200
    images = answer.json()["images"]
    assert images[7] == {
        "name": "7.png",
        "error": {"kind": "unreadable_image", "message": images[7]["error"]["message"]},
    }
    assert "runcated" in images[7]["error"]["message"]
    rest = [each for i, each in enumerate(images) if i != 7]
    assert [each["predictions"][0]["class"] for each in rest] == [
        COLORS[i % 3] for i in range(10) if i != 7
    ]


@pytest.mark.parametrize("name", [name for name in BAD if name != "gif"])
def test_what_is_no_image(url, name):
    answer = requests.post(f"{url}/predict", BAD[name], headers=JPEG)
    is_huge = name.startswith("huge")
    assert answer.status_code == (413 if is_huge else 400)
    error = answer.json()["error"]
    assert error["kind"] == ("too_many_pixels" if is_huge else "unreadable_image")
    assert "object at 0x" not in error["message"]
    assert len(answer.json()["images"]) == 1


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\nshowpage\n"
DEEP = b'{"images": ' + b"[" * 50_000 + b"]" * 50_000 + b"}"
FORM = {"Content-Type": "multipart/form-data; boundary=x"}
TYPED = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    "path, headers, body, status, kind, message",
    [
        ("predict", {"Content-Type": "image/heic"}, b"x", 415, "unsupported_type", "image/heic"),
        ("predict", {"Content-Type": "text/plain"}, b"x", 415, "unsupported_type", "text/plain"),
        ("predict", {}, b"x", 415, "unsupported_type", "got none; allowed are multipart/form-data"),
        ("predict", TYPED, b"{", 400, "malformed", "not JSON: .* wanted .*BASE64"),
        ("predict", TYPED, b"\xff", 400, "malformed", "utf-8"),
        ("predict", TYPED, DEEP, 400, "malformed", "nested too deep|wanted"),
        ("predict", TYPED, b"[1]", 400, "malformed", "wanted an object with images"),
        ("predict", TYPED, b'{"images": [3]}', 400, "malformed", "wanted"),
        ("predict", TYPED, b'{"images": "QQ=="}', 400, "malformed", "wanted"),
        ("predict", TYPED, b'{"images": ["?"]}', 400, "malformed", "not base64"),
        ("predict", TYPED, b'{"images": []}', 400, "no_images", "no image"),
        ("predict", TYPED, as_json([b""] * 13), 413, "too_many_images", "more than 12 images"),
        ("predict", FORM, b"--y", 400, "malformed", "not multipart"),
        ("predict", {"Content-Type": "multipart/form-data"}, b"", 400, "malformed", "boundary"),
        ("predict", FORM, b"--x--\r\n", 400, "no_images", "no image"),
        ("predict", JPEG, bytes(200_001), 413, "body_too_large", "more than 200,000 bytes"),
        ("predict", JPEG, EPS, 400, "unreadable_image", "not an image in a known format"),
        ("predict?top=0", JPEG, b"", 400, "malformed", "query.top: .* greater than or equal to 1"),
        ("predict?maps=x", JPEG, b"", 400, "malformed", "query.maps"),
        ("embed", JPEG, b"", 400, "unreadable_image", "cannot be read"),
        ("nothing", JPEG, b"", 404, "not_found", "Not Found"),
        ("model", JPEG, b"", 405, "method_not_allowed", "Method Not Allowed"),
    ],
)
def test_refusals(url, path, headers, body, status, kind, message):
    answer = requests.post(f"{url}/{path}", body, headers=headers)
    assert (answer.status_code, answer.json()["error"]["kind"]) == (status, kind)
    with pytest.raises(ValueError, match=message):
        raise ValueError(answer.json()["error"]["message"])


def test_refusals_of_multipart(url):
    field = requests.post(f"{url}/predict", files={"images": (None, "text")})
    assert field.json()["error"]["message"] == "the part 'images' is not a file"
    many = requests.post(f"{url}/predict", files=multipart(*[picture(0)] * 13))
    assert (many.status_code, many.json()["error"]["kind"]) == (413, "too_many_images")


def test_bodies_of_unknown_length_are_limited_too(url):
    answer = requests.post(f"{url}/predict", (bytes(10_000) for _ in range(30)), headers=JPEG)
    assert (answer.status_code, answer.json()["error"]["kind"]) == (413, "body_too_large")


def test_about(url):
    about = requests.get(f"{url}/model").json()
    assert about["classes"] == [*COLORS]
    assert about["input_size"] == [32, 32]
    assert (about["runtime"], about["precision"], about["features"]) == ("onnx", "float32", 3)
    assert (about["card"], about["limits"]["max_images"]) == ({"network": "none"}, 12)
    assert requests.get(f"{url}/health").json() == {"status": "alive"}
    assert requests.get(f"{url}/ready").json() == {"status": "ready"}


def test_documentation_is_the_servers_own(url):
    """Nothing is loaded from elsewhere, and every answer is described."""
    page = requests.get(f"{url}/docs").text
    assert "https://" not in page
    assert requests.get(f"{url}/static-offline-docs/swagger-ui-bundle.js").ok
    described = requests.get(f"{url}/openapi.json").json()["paths"]
    assert set(described) == {"/predict", "/embed", "/model", "/health", "/ready", "/metrics"}
    assert {"200", "400", "413", "415", "429", "501"} <= set(
        described["/predict"]["post"]["responses"]
    )


@pytest.mark.parametrize(
    "path",
    [
        "/../../../../etc/passwd",
        "/static-offline-docs/../../../../../../etc/passwd",
        "/static-offline-docs/%2e%2e/%2e%2e/__init__.py",
        "/static-offline-docs//etc/passwd",
        "//etc/passwd",
        "/page/index.html",
    ],
)
def test_no_file_of_the_host_is_read(url, path):
    """As they are written: clients make such paths shorter."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        text = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        connection.sendall(text.encode())
        answer = connection.makefile("rb").read()
    assert answer.split()[1] == b"404"


def test_no_other_site_reads_answers_unless_named(url):
    origin = {"Origin": "https://example.com"}
    assert "Access-Control-Allow-Origin" not in requests.get(f"{url}/model", headers=origin).headers
    with serving(colors(), origins=["https://example.com"]) as other:
        answer = requests.get(f"{other}/model", headers=origin)
        assert answer.headers["Access-Control-Allow-Origin"] == "https://example.com"
        strangers = requests.get(f"{other}/model", headers={"Origin": "https://example.org"})
        assert "Access-Control-Allow-Origin" not in strangers.headers


def test_a_token_is_wanted_for_all_but_the_page_and_probes():
    with serving(colors(), token="пароль") as url:
        for path in ("", "style.css", "script.js", "health", "ready", "docs", "openapi.json"):
            assert requests.get(f"{url}/{path}").ok
        assert "HTTPBearer" in requests.get(f"{url}/openapi.json").text
        for path in ("model", "metrics", "nothing"):
            assert requests.get(f"{url}/{path}").status_code == 401
        for given in (None, "Bearer x", "Basic пароль", "пароль"):
            headers = JPEG | ({} if given is None else {"Authorization": given.encode()})
            answer = requests.post(f"{url}/predict", picture(0), headers=headers)
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            assert answer.json()["error"]["kind"] == "unauthorized"
        headers = JPEG | {"Authorization": "Bearer пароль".encode()}
        assert requests.post(f"{url}/predict", picture(0), headers=headers).ok


def test_a_model_without_features_says_so():
    with serving(colors(features=False)) as url:
        for path in ("embed", "predict?maps=1"):
            answer = requests.post(f"{url}/{path}", picture(0), headers=JPEG)
            assert answer.status_code == 501
            assert "was exported without --features" in answer.json()["error"]["message"]
        assert best(requests.post(f"{url}/predict", picture(0), headers=JPEG)) == ["red"]
        about = requests.get(f"{url}/model").json()
        assert about["features"] is None
        assert "without --features" in about["why_no_features"]


class Held:
    """A model that runs when it is let go; it keeps the sizes of its batches."""

    def __init__(self):
        self.go, self.running, self.sizes = threading.Event(), threading.Event(), []

    def __call__(self, images):
        self.sizes.append(len(images))
        self.running.set()
        if len(self.sizes) > 1 or images.any():  # not what `/model` asks about
            assert self.go.wait(30)


def test_images_of_many_requests_are_classified_together():
    held = Held()
    with serving(colors(before=held), Limits(max_batch=4, max_delay_ms=200)) as url:

        def ask(i):
            return best(requests.post(f"{url}/predict", picture(i % 3), headers=JPEG))

        with ThreadPoolExecutor(9) as pool:
            answers = pool.map(ask, range(9))
            held.go.set()
            assert [*answers] == [[COLORS[i % 3]] for i in range(9)]
        assert max(held.sizes) == 4
        assert sum(held.sizes) == 9
        text = requests.get(f"{url}/metrics").text
        assert 'keras_nasnet_requests_total{path="/predict",status="200"} 9.0' in text
        assert f"keras_nasnet_batch_images_count {len(held.sizes)}.0" in text
        assert "keras_nasnet_batch_images_sum 9.0" in text
        assert 'keras_nasnet_request_seconds_count{path="/predict"} 9.0' in text


def test_above_the_queue_the_answer_is_429():
    held = Held()
    limits = Limits(queue=4, max_images=4, max_batch=1, max_delay_ms=0)
    with serving(colors(before=held), limits) as url, ThreadPoolExecutor(2) as pool:

        def ask(number):
            return requests.post(f"{url}/predict", files=multipart(*[picture(1)] * number))

        inside = [pool.submit(ask, 1)]
        assert held.running.wait(10)
        inside.append(pool.submit(ask, 4))
        while "waiting_images 4.0" not in requests.get(f"{url}/metrics").text:
            time.sleep(0.02)
        refused = ask(1)
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
        assert refused.json()["error"]["message"].startswith("4 images are waiting, at most 4 may")
        assert requests.get(f"{url}/ready").status_code == 503
        assert requests.get(f"{url}/health").ok
        held.go.set()
        assert [len(best(each.result())) for each in inside] == [1, 4]
        assert requests.get(f"{url}/ready").ok
        assert 'errors_total{kind="busy"} 1.0' in requests.get(f"{url}/metrics").text


def test_a_slow_model_costs_its_requests_only():
    held = Held()
    with serving(colors(before=held), Limits(timeout_s=0.5)) as url:
        start = time.monotonic()
        answer = requests.post(f"{url}/predict", picture(0), headers=JPEG)
        assert (answer.status_code, answer.json()["error"]["kind"]) == (503, "timeout")
        assert 0.5 <= time.monotonic() - start < 5
        while requests.get(f"{url}/ready").ok:
            time.sleep(0.05)
        assert requests.get(f"{url}/health").ok
        held.go.set()
        assert requests.post(f"{url}/predict", picture(0), headers=JPEG).ok
        assert requests.get(f"{url}/ready").ok


def test_a_model_that_fails_is_an_error_of_these_images():
    def fail(images):
        if images[0, 0, 0, 0]:
            raise RuntimeError("secret of the host")

    with serving(colors(before=fail)) as url:
        answer = requests.post(f"{url}/predict", picture(0), headers=JPEG)
        assert answer.status_code == 500
        assert answer.json()["error"] == {
            "kind": "model_failed",
            "message": "the model failed: RuntimeError",
        }
        assert best(requests.post(f"{url}/predict", picture(1), headers=JPEG)) == ["green"]


def test_slow_clients_are_told_and_keep_nobody_waiting():
    with serving(colors(), Limits(timeout_s=0.5)) as url, contextlib.ExitStack() as stack:
        host, port = url.removeprefix("http://").split(":")
        slow = []
        for _ in range(20):
            connection = stack.enter_context(socket.create_connection((host, int(port))))
            head = f"POST /predict HTTP/1.1\r\nHost: {host}\r\nContent-Type: image/png\r\n"
            connection.sendall(f"{head}Content-Length: 1000\r\n\r\nx".encode())
            slow.append(connection)
        assert best(requests.post(f"{url}/predict", picture(0), headers=JPEG)) == ["red"]
        for connection in slow:
            answer = connection.recv(10_000)
            assert answer.startswith(b"HTTP/1.1 408")
            assert b"did not arrive within 0.5 s" in answer + connection.recv(10_000)


def test_a_client_that_leaves_is_no_failure_of_the_server():
    with serving(colors()) as url:
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as connection:
            head = f"POST /predict HTTP/1.1\r\nHost: {host}\r\nContent-Type: image/png\r\n"
            connection.sendall(f"{head}Content-Length: 1000\r\n\r\nx".encode())
        while 'path="/predict",status="499"} 1.0' not in requests.get(f"{url}/metrics").text:
            time.sleep(0.02)
        assert 'errors_total{kind="model_failed"} 0.0' in requests.get(f"{url}/metrics").text


def test_names_of_classes_that_are_no_unicode():
    from keras_nasnet.serving.model import unicode

    names = [*map(unicode, ["\udcff", "b", "c"])]
    with serving(colors(names=names)) as url:
        assert best(requests.post(f"{url}/predict", picture(0), headers=JPEG)) == ["?"]
        assert requests.get(f"{url}/model").json()["classes"] == ["?", "b", "c"]


def test_images_of_memory_size_are_not_decoded(url):
    """Ten of 507 MB each, in a request of 10 kB."""
    body = json.dumps({"images": [base64.b64encode(huge_png()).decode()] * 10})
    answer = requests.post(f"{url}/predict", body, headers=TYPED)
    assert answer.status_code == 413
    kinds = [each["error"]["kind"] for each in answer.json()["images"]]
    assert kinds == ["too_many_pixels"] * 10


@pytest.mark.parametrize(
    "options, message",
    [
        ({"max_batch": 0}, "max_batch: wanted an integer of at least 1, got 0"),
        ({"queue": 31}, "queue: wanted an integer of at least 32, got 31"),
        ({"timeout_s": 0}, "timeout: wanted seconds above 0"),
        ({"timeout_s": float("nan")}, "timeout: wanted seconds above 0"),
        ({"max_delay_ms": -1}, "max_delay_ms: wanted milliseconds from 0"),
    ],
)
def test_limits_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        Limits(**options)
