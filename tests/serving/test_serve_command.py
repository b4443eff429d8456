"""`keras-nasnet serve` as a process, from the model that a user names to its end."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import venv
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import psutil
import pytest
import requests
from support.command import run
from support.networks import one_block, randomize
from support.pictures import photo
from support.processes import all_gone
from support.servers import command, started

import keras_nasnet
from keras_nasnet.inference import benchmark
from keras_nasnet.inference.classifier import Classifier
from keras_nasnet.inference.formats import FORMATS
from keras_nasnet.serving import fastest
from keras_nasnet.serving.model import card_of, open_export, open_fused

NAMES = ["cat", "фрог 🐸", "鳥 / قطة"]
PHOTO = photo((90, 64))
ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "examples" / "serving" / "Dockerfile"


@pytest.fixture(scope="module")
def model():
    return randomize(one_block(classes=3))


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("serve") / "model.onnx"
    return keras_nasnet.export(model, path, "onnx", class_names=NAMES, features=True)


def test_it_answers_as_predict_does_until_it_is_told_to_stop(model, exported):
    """SIGTERM: requests inside are answered, new ones refused, and no process is left."""
    with command(exported, "--max-delay-ms", "1500", "--max-batch", "64") as (process, url):

        def ask(i):
            return requests.post(f"{url}/predict", PHOTO, headers={"Content-Type": "image/jpeg"})

        assert url.startswith("http://127.0.0.1:")
        (wanted,) = Classifier(model, NAMES).classify([BytesIO(PHOTO)])
        children = psutil.Process(process.pid).children(recursive=True)
        with ThreadPoolExecutor(8) as pool:
            answers = [pool.submit(ask, i) for i in range(8)]
            while "waiting_images 8.0" not in requests.get(f"{url}/metrics").text:
                time.sleep(0.02)
            process.send_signal(signal.SIGTERM)
            stopped = time.monotonic()
            for answer in answers:
                found = answer.result().json()["images"][0]["predictions"]
                assert [each["class"] for each in found] == [name for name, _ in wanted[1]]
                got = [each["probability"] for each in found]
                np.testing.assert_allclose(got, [score for _, score in wanted[1]], atol=1e-4)
        with pytest.raises(requests.ConnectionError):
            requests.get(f"{url}/health")
        assert process.wait(10) == 0
        assert time.monotonic() - stopped < 10
        assert process.stdout.read() == "stopped\n"
    assert not any(child.is_running() for child in children)


STUCK = """
import sys, time
from support.servers import colors
from keras_nasnet.cli import serve
from keras_nasnet import cli
stuck = lambda images: time.sleep(60 if images.any() else 0)
serve._model = lambda options, folder: colors(before=stuck)
sys.exit(cli.main(["serve", "colors", "--port", "0"]))
"""


@pytest.mark.slow
def test_a_model_that_never_returns_is_left(tmp_path):
    with command(code=STUCK) as (process, url):
        post = {"data": PHOTO, "headers": {"Content-Type": "image/jpeg"}, "timeout": 30}
        asking = threading.Thread(target=lambda: _quiet(requests.post, f"{url}/predict", **post))
        asking.start()
        while "requests_total" not in requests.get(f"{url}/metrics").text:
            time.sleep(0.05)
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 1
        asking.join()


def _quiet(function, *arguments, **options):
    try:
        return function(*arguments, **options)
    except requests.ConnectionError:
        return None


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_opened(model, tmp_path, name):
    pytest.importorskip(FORMATS[name].RUNTIME)
    path = keras_nasnet.export(model, tmp_path / "model", name, class_names=NAMES)
    served = open_export(path, "model")
    assert (served.runtime, served.runner.class_names) == (name, NAMES)
    assert (served.runner.size, served.num_features) == ((32, 32), None)
    assert "without --features" in served.why_none


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_fused_network_gives_what_exports_give(model, exported, precision):
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), "uint8")
    fused = open_fused(Classifier(model, NAMES), "model", precision)
    got, wanted = fused.outputs(images), open_export(exported, "model").outputs(images)
    assert {*got} == {*wanted}
    np.testing.assert_array_equal(got["activation_classes"], wanted["activation_classes"])
    for name in ("probabilities", "features", "activation_maps"):
        allowed = {"float32": 1e-4, "bfloat16": 0.1}[precision] * np.ptp(wanted[name])
        assert got[name].shape == wanted[name].shape
        np.testing.assert_allclose(got[name], wanted[name], atol=allowed)


def test_the_fastest_runtime_is_that_of_single_images_and_batches(monkeypatch):
    """As the benchmark measured; what failed, and other precisions, do not count."""

    def rows(runtime, one, many, precision="float32"):
        return [
            {"runtime": runtime, "precision": precision, "batch": batch, "images_per_s": speed}
            for batch, speed in ((1, one), (16, many))
        ]

    measured = [
        *rows("fused", 10, 100),
        *rows("onnx", 30, 50),
        *rows("openvino", 40, 30),
        *rows("openvino", 90, 900, "bfloat16"),
        {"runtime": "litert", "precision": "float32", "failure": "no"},
    ]
    asked = []
    monkeypatch.setattr(
        fastest, "_run", lambda *words, check: asked.append(words) or json.dumps(measured)
    )
    best, figures = fastest.fastest(["run"], "float32", 16)
    assert (best, figures) == ("onnx", "30 images/s at batch 1, 50 images/s at batch 16")
    assert asked[0][:2] == ("benchmark", "run")
    assert {"fused", "onnx", "openvino"} <= {*asked[0]}
    monkeypatch.setattr(benchmark, "find_spec", lambda name: None)
    assert fastest.fastest(["run"], "float32", 16)[0] == "fused"
    monkeypatch.undo()
    monkeypatch.setattr(fastest, "_run", lambda *words, check: "")
    with pytest.raises(ValueError, match="no runtime runs the model in float32"):
        fastest.fastest(["run"], "float32", 16)


class AlarmError(Exception):
    pass


def test_what_measures_and_exports_ends_with_the_server(monkeypatch, tmp_path):
    """Also the processes that it started."""

    def ring(number, frame):
        raise AlarmError

    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\nsleep 60 & echo $! > {tmp_path}/pid\nwait\n")
    program.chmod(0o700)
    monkeypatch.setattr(fastest.sys, "executable", str(program))
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 1)
    try:
        with pytest.raises(AlarmError):
            fastest._run("benchmark")
    finally:
        signal.signal(signal.SIGALRM, before)
    assert all_gone([int((tmp_path / "pid").read_text())])


@pytest.mark.slow
def test_a_model_of_keras_is_exported_to_a_runtime(model, tmp_path):
    """By the command that does so, with its features."""
    model.save(tmp_path / "model.keras")
    with command(tmp_path / "model.keras", "--runtime", "onnx") as (_, url):
        about = requests.get(f"{url}/model").json()
        assert (about["runtime"], about["name"], about["features"]) == ("onnx", "model.keras", 32)


def test_cards():
    assert card_of("AmoebaNetA", "none") == {
        "network": "AmoebaNet-A (6 @ 3040)",
        "weights": "none",
    }
    card = card_of("NASNetLarge", "imagenet")
    assert card["network"] == "NASNet-A (6 @ 4032)"
    assert "keras.applications" in card["weights"]
    assert card["licence"] == "Apache-2.0"


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["{onnx}", "--runtime", "onnx"], "--runtime: .* is an export, which has its own"),
        (["{onnx}", "--precision", "int8"], "--precision: .* is an export"),
        (["{onnx}", "--input-size", "32"], "--input-size: .* is an export"),
        (["{onnx}", "--port", "70000"], "--port: wanted an integer of at most 65,535, got 70000"),
        (["{onnx}", "--port", "{taken}"], r"127.0.0.1, port \d+: Address already in use"),
        (["{onnx}", "--host", "no.such.host.invalid"], "no.such.host.invalid, port 8000: "),
        (["{onnx}", "--token", ""], "--token: it is empty"),
        (["{onnx}", "--max-batch", "0"], "max_batch: wanted an integer of at least 1, got 0"),
        (["{onnx}", "--queue", "3"], "queue: wanted an integer of at least 32, got 3"),
        (["{damaged}"], "damaged.onnx cannot be loaded as onnx: "),
        (["nothing"], "nothing is not a run folder, a .keras file or a model; .*an export"),
        (
            ["NASNetMobile", "--runtime", "onxx"],
            "--runtime: 'onxx' is not known; did you mean onnx",
        ),
        (["NASNetMobile", "--precision", "int8"], "--precision: 'int8' is not known; .*float32"),
    ],
)
def test_mistakes_are_told_before_anything_starts(capsys, exported, tmp_path, arguments, message):
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(exported.read_bytes()[:100])
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        values = {"onnx": exported, "damaged": damaged, "taken": taken.getsockname()[1]}
        words = [word.format(**values) for word in arguments]
        status, out, err = run(capsys, "serve", *words)
    assert (status, out) == (2, "")
    assert re.search(f"^keras-nasnet: .*{message}", err)
    assert err.count("\n") == 1


@pytest.mark.slow
def test_the_dockerfile_installs_and_serves(exported, tmp_path):
    """Its RUN lines in a new environment, then its CMD, on this machine alone."""
    text = DOCKERFILE.read_text()
    (tmp_path / "source").mkdir()
    for line in (DOCKERFILE.parent / "Dockerfile.dockerignore").read_text().split():
        name = line.removeprefix("!")
        if name == "model.onnx":
            shutil.copy(exported, tmp_path / "source" / name)
        elif (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / "source" / name)
        elif name != "*":
            shutil.copy(ROOT / name, tmp_path / "source")
    venv.create(tmp_path / "environment", with_pip=True)
    path = f"{tmp_path}/environment/bin:{os.environ['PATH']}"
    environment = {key: os.environ[key] for key in os.environ if not key.startswith("PYTHON")}
    environment |= {"PATH": path}
    runs = re.findall("^RUN (.+)$", text, re.MULTILINE)
    assert len(runs) == 2
    for line in runs:
        subprocess.run(line, shell=True, check=True, cwd=tmp_path, env=environment)
    assert {each.name for each in tmp_path.iterdir()} == {"environment", "model.onnx"}
    words = json.loads(re.search("^CMD (.+)$", text, re.MULTILINE)[1])
    words[0] = f"{tmp_path}/environment/bin/{words[0]}"
    words += ["--host", "127.0.0.1", "--port", "0"]
    with started(words, cwd=tmp_path, env=environment) as (_, url):
        answer = requests.post(f"{url}/predict", PHOTO, headers={"Content-Type": "image/jpeg"})
        assert {each["class"] for each in answer.json()["images"][0]["predictions"]} == {*NAMES}
        assert "What is in the picture?" in requests.get(url).text
        assert requests.get(f"{url}/docs").ok
