"""The examples run as their first lines say."""

import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from unittest.mock import create_autospec

import keras
import numpy as np
import pytest
from PIL import Image
from support import TESTS
from support.command import run
from support.pictures import write_folder
from support.runs import CONFIG, job, source
from support.searches import counting
from support.works import Counting, steps_of

import keras_nasnet
from keras_nasnet.cells.catalog import MODELS
from keras_nasnet.search import NASNetTuner
from keras_nasnet.training import make_model
from keras_nasnet.training.job import read_config
from keras_nasnet.training.log import read_log

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def example(monkeypatch):
    """Imports an example."""
    monkeypatch.syspath_prepend(EXAMPLES)
    return import_module


@pytest.mark.slow
def test_search_ray(tmp_path, example, monkeypatch):
    ray = pytest.importorskip("ray")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(EXAMPLES.parent), TESTS)))
    ray.init(num_cpus=2, include_dashboard=False)
    try:
        search = counting(tmp_path, 4, steps=5, step_s=0.05)
        search.search(executor=example("search_ray").RayExecutor(), num_workers=2)
    finally:
        ray.shutdown()
    assert sorted(search.oracle.end_order) == ["0", "1", "2", "3"]
    steps = [steps_of(Path(search.get_trial_dir(key))) for key in "0123"]
    assert [[step for step, _ in each] for each in steps] == [[*range(5)]] * 4
    assert os.getpid() not in {pid for each in steps for _, pid in each}


@pytest.mark.slow
def test_cluster_of_this_machine(tmp_path, example, monkeypatch, capsys):
    monkeypatch.setattr(NASNetTuner, "child_of", lambda self, trial, data: Counting(0.5))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["local.py", "--trials", "2", "--workers", "1"])
    example("cluster.local").main()
    assert capsys.readouterr().out.count("0.5000") >= 2
    assert {path.name for path in tmp_path.glob("*/trial_*")} == {"trial_0", "trial_1"}


def certificate(folder):
    """A certificate of this machine's that vouches for itself, as the three files of an example."""
    folder.mkdir()
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", folder / "key.pem", "-out", folder / "cert.pem"]
    subprocess.run([*command, *files], check=True, capture_output=True)
    shutil.copy(folder / "cert.pem", folder / "ca.pem")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_cluster_by_ssh(tmp_path, example, monkeypatch, capsys):
    """With TLS; the processes that SSH would start are of this machine."""
    distributed = pytest.importorskip("distributed")

    def cluster(hosts, worker_options, security):
        assert hosts == ["head", "node"]
        options = {"n_workers": 1, "protocol": "tls://", "dashboard_address": None}
        threads = worker_options["nthreads"]
        return distributed.LocalCluster(threads_per_worker=threads, security=security, **options)

    certificate(tmp_path / "certs")
    monkeypatch.setattr(NASNetTuner, "child_of", lambda self, trial, data: Counting(0.5))
    monkeypatch.setattr(example("cluster.ssh"), "SSHCluster", cluster)
    monkeypatch.chdir(tmp_path)
    options = ["--data", "digits", "--trials", "2", "--tls", "certs"]
    monkeypatch.setattr(sys, "argv", ["ssh.py", "head", "node", *options])
    example("cluster.ssh").main()
    assert capsys.readouterr().out.count("0.5000") >= 2


SLURM = {
    "srun": 'shift; exec "$@"',  # one task, here
    "dask": 'exec {python} -m distributed.cli.dask_$1 "${{@:2}}" --host 127.0.0.1',
    "keras-nasnet": """exec {python} -c '
import sys
from distributed import Client
file = sys.argv[sys.argv.index("--scheduler-file") + 1]
with Client(scheduler_file=file) as client:
    print(client.submit(sum, [1, 2]).result(), *sys.argv[1:])' "$@"
""",
}


@pytest.mark.slow
def test_cluster_on_slurm(tmp_path):
    """The job's script brings up a cluster and searches on it; a second job resumes the search."""
    pytest.importorskip("distributed")
    for name, text in SLURM.items():
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/bash\n" + text.format(python=sys.executable))
        path.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    script = ["bash", EXAMPLES / "cluster" / "slurm.sh", "photos", "out", "7"]
    for place in ("--out out --data photos --seed 0", "--resume out"):
        result = subprocess.run(
            script, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
        )
        assert result.returncode == 0, result.stderr
        assert result.stdout.startswith(f"3 search {place} --trials 7 --scheduler-file {tmp_path}")
        assert not [*tmp_path.glob("scheduler.*")], "nothing of the cluster is left"
        (tmp_path / "out").mkdir(exist_ok=True)
        (tmp_path / "out" / "search.json").touch()


def test_search_cifar10(tmp_path, example, monkeypatch, capsys):
    """With trials that only count: the best cell is what the larger network is made of."""
    module = example("search_cifar10")
    best = []

    def train_finalists(tuner, data, count):
        assert data == "digits"
        best.extend(tuner.get_best_genotypes(count))
        return best

    monkeypatch.setattr(NASNetTuner, "child_of", lambda self, trial, data: Counting(0.5))
    monkeypatch.setattr(NASNetTuner, "train_finalists", train_finalists)
    monkeypatch.setattr(module, "train", create_autospec(module.train))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["search_cifar10.py", "--data", "digits", "--trials", "4"])
    module.main()
    (job, (training, _), run), _ = module.train.call_args
    assert (job.config.genotype, job.config.num_cells, job.config.stem) == (best[0], 2, "cifar")
    assert (training.class_names[:2], run) == (["0", "1"], "cifar10_search_larger")
    assert len(best) == 3


def test_detect(tmp_path, example, monkeypatch, capsys):
    """A few scenes, seen once: what it finds is nothing, but all of it runs."""
    pytest.importorskip("keras_hub")
    tensorflow = pytest.importorskip("tensorflow")
    module = example("detect")
    many = module.scenes
    monkeypatch.setattr(module, "scenes", lambda count, *rest: many(min(count, 20), *rest))
    monkeypatch.setattr(module, "NETWORK", {"num_cells": 1, "penultimate_filters": 96})
    out = tmp_path / "detect.png"
    options = ["--scenes", "8", "--epochs", "1", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["detect.py", *options])
    tensorflow.config.run_functions_eagerly(True)  # tracing takes longer
    try:
        assert module.main() in (0, 1)
    finally:
        tensorflow.config.run_functions_eagerly(False)
    assert "% of the digits found" in capsys.readouterr().out
    with Image.open(out) as image:
        assert image.width > 500


@pytest.mark.slow
def test_demo(tmp_path):
    command = [sys.executable, EXAMPLES / "demo.py", "--quick"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "accuracy on held-out digits" in result.stdout
    assert result.stdout.count("$ keras-nasnet") == 3
    folders = (tmp_path / "runs" / "demo").iterdir()
    assert {path.name for path in folders} == {"images", "run", "search"}


@pytest.mark.every_backend
def test_finetune(tmp_path):
    if keras.config.backend() != "torch":
        pytest.skip("compiling the training of NASNetMobile takes minutes; torch does not compile")
    write_folder(tmp_path / "photos", ["cat", "dog"])
    weights = tmp_path / "mobile.weights.h5"
    keras_nasnet.NASNetMobile(weights=None).save_weights(weights)
    out = tmp_path / "finetuned.keras"
    command = [sys.executable, EXAMPLES / "finetune.py", tmp_path / "photos"]
    command += ["--weights", weights, "--size", "32", "--epochs", "1", "--out", out]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "a linear classifier on the frozen network" in result.stdout
    assert keras.saving.load_model(out).output_shape == (None, 2)


def test_finetune_is_the_command(tmp_path, example, monkeypatch, capsys):
    """Plain `fit` in the example and `keras-nasnet train` save the same weights."""
    monkeypatch.setitem(MODELS, "NASNetMobile", CONFIG)
    images, weights, run_folder = (tmp_path / name for name in ("images", "w.weights.h5", "run"))
    shown = source(40)
    for index, (image, label) in enumerate(zip(shown.items, shown.labels, strict=True)):
        path = images / shown.class_names[label] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    keras.utils.set_random_seed(1)
    make_model(job("finetune"), 3, 1).save_weights(weights)

    saved = tmp_path / "finetuned.keras"
    command = ["finetune.py", images, "--weights", weights, "--size", 32, "--epochs", 2]
    monkeypatch.setattr(sys, "argv", [str(part) for part in (*command, "--out", saved)])
    example("finetune").main()
    train = ["train", "--model", "NASNetMobile", "--input-size", 32, "--no-report"]
    train += ["--data", images, "--weights", weights, "--set", "epochs=2"]
    status, _, err = run(capsys, *train, "--out", run_folder)
    assert status == 0, err
    losses = [row["val_loss"] for row in read_log(run_folder / "log.csv")]
    assert min(losses) < read_config(run_folder)["linear"]["val_loss"], "training is what is saved"
    ours, theirs = (keras.saving.load_model(path) for path in (saved, run_folder / "model.keras"))
    for weight, wanted in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_allclose(weight, wanted, rtol=1e-5, atol=1e-5, err_msg=weight.path)
