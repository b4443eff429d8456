"""`keras-nasnet benchmark`."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from rich.console import Console
from support.networks import one_block, randomize

from keras_nasnet import cli
from keras_nasnet.cli.benchmark import fastest_of, table_of
from keras_nasnet.inference import benchmark
from keras_nasnet.inference.benchmark import KERAS, Route
from keras_nasnet.inference.classifier import Classifier


def test_a_row_for_each_runtime_precision_and_batch(capsys, tmp_path):
    if keras.config.backend() != "tensorflow":
        pytest.skip("TensorFlow is not the backend")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    path = tmp_path / "model.keras"
    randomize(one_block()).save(path)
    arguments = ["benchmark", str(path), "--batch-sizes", "1", "3", "--seconds", "0.1", "--json"]
    assert cli.main([*arguments, "--runtimes", "fused", "onnx"]) == 0
    rows = json.loads(capsys.readouterr().out)
    named = [(row["runtime"], row["precision"], row["batch"]) for row in rows]
    wanted = [("fused", "float32"), ("fused", "bfloat16"), ("onnx", "float32")]
    assert named == [(*route, batch) for route in wanted for batch in (1, 3)]
    for row in rows:
        assert row["p50_ms"] <= row["p90_ms"] <= row["p99_ms"]
        assert row["images_per_s"] == pytest.approx(row["batch"] * 1000 / row["p50_ms"])
        assert row["peak_mib"] > 50
        assert row["size_mib"] == pytest.approx(0.1, abs=0.1)
        assert row["difference"] < (0.01 if row["precision"] == "bfloat16" else 1e-5)
        assert row["agreement"] >= 0.8
    onnx_mib = [row["peak_mib"] for row in rows if row["runtime"] == "onnx"]
    assert max(onnx_mib) < rows[0]["peak_mib"], "a process without Keras and TensorFlow"
    Console(width=120).print(table_of(rows))
    printed = capsys.readouterr().out
    assert printed.count("onnx") == 2, "a line for each batch size"
    assert f"{rows[0]['images_per_s']:.1f}" in printed


def test_the_fastest_is_named_for_each_batch_size():
    numbers = [("keras", 1, 20.0), ("fused", 1, 40.0), ("keras", 16, 90.0), ("fused", 16, 80.5)]
    rows = [
        {"runtime": runtime, "precision": "float32", "batch": batch, "images_per_s": images}
        for runtime, batch, images in numbers
    ]
    failed = [{"runtime": "onnx", "precision": "float32", "failure": "no memory"}]
    assert fastest_of(rows + failed) == (
        "fastest here: fused float32 for batch 1 (40.0 images/s), "
        "keras float32 for batch 16 (90.0 images/s)"
    )
    assert fastest_of(failed) == ""


def test_what_cannot_be_run_is_a_row_with_the_reason():
    if keras.config.backend() != "tensorflow":
        pytest.skip("TensorFlow is not the backend")
    model = randomize(one_block())
    norm = model.get_layer("stem").batch_normalization
    norm.gamma.assign(norm.gamma * 1e6)  # float16 ends at 65,504
    classifier = model.get_layer("predictions")
    classifier.kernel.assign(classifier.kernel * 1e-6)
    failing, running = Route("tf_saved_model", "float16"), Route("fused", "float32")
    settings = {"batch_sizes": [1], "seconds": 0.01}
    results = dict(benchmark.benchmark(Classifier(model), [failing, running], **settings))
    reason = results[failing][0].pop("failure")
    assert results[failing] == [{"runtime": "tf_saved_model", "precision": "float16"}]
    assert "NaN" in reason
    assert "beyond the range of float16" in reason
    assert results[running][0]["agreement"] == 1, "what comes after it is measured"


def test_a_model_that_gives_nan_is_a_row_and_no_measure_for_the_others(monkeypatch):
    def measure(classifier, route, *arguments):
        if route.runtime == KERAS:
            raise ValueError("it gives NaN in place of probabilities")
        if route.runtime == "onnx":
            raise OSError(28, "No space left on device")
        return [{"batch": 1}], np.eye(2)

    monkeypatch.setattr(benchmark, "_measure", measure)
    some = [Route(name, "float32") for name in (KERAS, "fused", "onnx", "litert")]
    results = {
        route.runtime: rows
        for route, rows in benchmark.benchmark(None, some, images=np.zeros((2, 32, 32, 3), "uint8"))
    }
    assert results[KERAS][0]["failure"] == "it gives NaN in place of probabilities"
    assert "No space left" in results["onnx"][0]["failure"]
    for name in ("fused", "litert"):
        assert results[name] == [{"batch": 1, "agreement": None, "difference": None}]


def test_the_reason_is_in_the_table_and_in_the_json(capsys, monkeypatch, tmp_path):
    numbers = {"batch": 16, "images_per_s": 1234.5, "p50_ms": 13.0, "p90_ms": 14.0, "p99_ms": 15.0}
    numbers |= {"peak_mib": 812.0, "size_mib": 12.3, "agreement": None, "difference": None}
    head = {"runtime": "tf_saved_model", "precision": "float16"}
    rows = [head | numbers, head | {"failure": "it overflows [float16] " + "and so on " * 9}]
    monkeypatch.setattr(benchmark, "benchmark", lambda *a, **b: [(Route(*head.values()), rows)])
    path = tmp_path / "model.keras"
    one_block().save(path)
    assert cli.main(["benchmark", str(path), "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == rows
    Console(width=80).print(table_of(rows))
    printed = capsys.readouterr().out
    heading, units, measured, failed, *_ = printed.splitlines()
    assert heading.split()[-6:] == ["p50", "p99", "peak", "disk", "same", "error"]
    assert units.split()[-6:] == ["/s", "ms", "ms", "MiB", "MiB", "class"]
    assert measured.split() == [
        *("tf_saved_model", "float16", "16", "1234.5", "13.0", "15.0", "812", "12.3", "-", "-")
    ]
    assert failed.startswith("tf_saved_model  float16    it overflows [float16] and so on")
    assert printed.split().count("so") == 9, "wrapped, not cut"


def test_what_converters_print_is_not_in_the_json(capsys, monkeypatch, tmp_path):
    def talkative(*arguments, **options):
        print("Statistics collection 100%")
        yield Route(KERAS, "float32"), [{"batch": 1}]

    monkeypatch.setattr(benchmark, "benchmark", talkative)
    path = tmp_path / "model.keras"
    one_block().save(path)
    assert cli.main(["benchmark", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"batch": 1}]


def test_routes_need_their_runtimes(monkeypatch):
    found = {"tensorflow", "onnxruntime", "ai_edge_litert"}
    monkeypatch.setattr(benchmark, "find_spec", lambda name: name in found)
    assert {route.runtime for route in benchmark.routes(True)} == {
        "keras",
        "fused",
        "tf_saved_model",
        "onnx",
        "litert",
    }
    assert Route("litert", "int8") in benchmark.routes(True)
    assert Route("litert", "int8") not in benchmark.routes(False)
    found.clear()
    assert {route.runtime for route in benchmark.routes(True)} == {"keras", "fused"}
    assert benchmark.routes(True)[0] == Route(KERAS, "float32")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--batch-sizes", "0"], "--batch-sizes: wanted an integer of at least 1, got 0"),
        (["--runtimes", "caffe"], "'caffe' is not available; allowed are keras, fused"),
    ],
)
def test_mistakes(capsys, arguments, message):
    assert cli.main(["benchmark", "NASNetMobile", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_the_measured_process_imports_no_backend():
    code = "import sys, keras_nasnet.inference.benchmark; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", code], env=os.environ, capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"keras", "tensorflow", "jax", "torch"} & set(modules)
