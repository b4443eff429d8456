"""Runs: stopped and gone on with, broken in every way, on more than one device."""

import errno
import os
import resource
import signal
import subprocess
import sys
from dataclasses import replace

import keras
import numpy as np
import pytest
from support import TESTS
from support.locks import written_by
from support.networks import assert_same_weights, weights_of
from support.runs import HARDLY, job, rows, run_of

from keras_nasnet.atomic import NotWrittenError
from keras_nasnet.lock import HOLDER, FolderInUseError, locked
from keras_nasnet.training import trainer as training
from keras_nasnet.training.callback import CHECKPOINT, LOG, RunCallback, StoppedError
from keras_nasnet.training.checkpoint import load_checkpoint, save_checkpoint
from keras_nasnet.training.job import MODEL
from keras_nasnet.training.trainer import Job, compile_model, make_model

every_backend = pytest.mark.every_backend


@pytest.fixture
def interrupt_at(monkeypatch):
    """Sends this process a signal at a step, as a user does."""

    def arm(step, number=signal.SIGINT):
        before = RunCallback.on_train_batch_end

        def on_train_batch_end(self, batch, logs=None):
            if self.step + 1 == step:
                os.kill(os.getpid(), number)
            before(self, batch, logs)

        monkeypatch.setattr(RunCallback, "on_train_batch_end", on_train_batch_end)

    return arm


EVERYTHING = job(
    ema_momentum=0.9,
    dropout_rate=0.2,
    augmentation=("flip", "cutout"),
    linear_head=True,
    class_weights=True,
    patience=5,
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Weights and log of a run that was not stopped, with everything random and averaged."""
    folder = tmp_path_factory.mktemp("whole")
    return weights_of(run_of(EVERYTHING, folder)), rows(folder)


@every_backend
@pytest.mark.parametrize("step", [2, 5])
def test_a_stopped_run_goes_on_as_if_it_had_not(tmp_path, interrupt_at, whole, step):
    """Stopped in the middle of an epoch, the first or last."""
    weights, log = whole
    interrupt_at(step)
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(StoppedError, match=rf"SIGINT at step {step} of 6; .* --resume .*broken"):
        run_of(EVERYTHING, tmp_path / "broken")
    assert (tmp_path / "broken" / LOG).exists() == (step > 3), "a row an epoch"
    resumed = run_of(Job.of_run(tmp_path / "broken"), tmp_path / "broken", resume=True)
    assert signal.getsignal(signal.SIGINT) is handler
    if keras.config.backend() == "jax":  # which does not sum in the same order each time
        for one, other in zip(weights, weights_of(resumed), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
        return
    assert_same_weights(resumed, weights)
    assert rows(tmp_path / "broken") == log


@every_backend
def test_a_run_of_0_1_at_a_constant_rate_goes_on(tmp_path, interrupt_at, monkeypatch):
    """Its rate was a schedule, which is no variable of the optimizer, as a float is."""
    constant = job(schedule="constant")
    whole = run_of(constant, tmp_path / "whole")
    assert "learning_rate" in [variable.name for variable in whole.optimizer.variables]

    def rate(recipe, steps_per_epoch):
        return keras.optimizers.schedules.ExponentialDecay(recipe.scaled_learning_rate, 1, 1.0)

    interrupt_at(5)
    with monkeypatch.context() as patch:
        patch.setattr(training, "learning_rate", rate)
        with pytest.raises(StoppedError):
            run_of(constant, tmp_path / "broken")
    resumed = run_of(constant, tmp_path / "broken", resume=True)
    for one, other in zip(weights_of(whole), weights_of(resumed), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
    for row in rows(tmp_path / "whole") + rows(tmp_path / "broken"):
        assert float(row["learning_rate"]) == pytest.approx(0.025 * 8 / 32)


def test_a_step_is_traced_once(tmp_path, monkeypatch):
    if keras.config.backend() != "tensorflow":
        pytest.skip("TensorFlow is not the backend")
    traced, train_step = [], keras.Model.train_step

    def counted(self, data):
        traced.append(data)
        return train_step(self, data)

    monkeypatch.setattr(keras.Model, "train_step", counted)
    run_of(job(), tmp_path)
    assert len(traced) == 1


def test_what_a_run_leaves(tmp_path):
    said = []
    run_of(job("search-child", epochs=6), tmp_path / "run", say=said.append)
    logged = rows(tmp_path / "run")
    assert [row["step"] for row in logged] == ["3", "6", "9", "12", "15", "18"]
    rates = [float(row["learning_rate"]) for row in logged]
    expected = 0.025 * 8 / 32 * (1 + np.cos(np.pi * np.arange(2, 18, 3) / 18)) / 2
    np.testing.assert_allclose(rates, expected, rtol=1e-4)
    assert any("per step: about" in line for line in said)
    best = keras.saving.load_model(tmp_path / "run" / MODEL)
    assert best.output_shape == (None, 2)
    assert not list((tmp_path / "run").glob(".*")), "nothing half written"
    assert list((tmp_path / "run" / "tensorboard").iterdir())


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    with pytest.raises(FloatingPointError, match=r"at step \d; the last learning rates were"):
        run_of(job(learning_rate=1e30), tmp_path)


def compiled(**changes):
    model = make_model(job(**changes), 2, 6)
    compile_model(model, job(**changes).recipe, 3)
    model.optimizer.build(model.trainable_variables)
    return model


def test_a_full_disk_is_told_and_the_checkpoint_stays(tmp_path):
    model, path = compiled(), tmp_path / CHECKPOINT
    save_checkpoint(model, path, 7)
    values = weights_of(model)
    model.get_layer("predictions").bias.assign([5.0, 5.0])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(OSError, match="could not be written.*What was there before is intact"):
            save_checkpoint(model, path, 8)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert load_checkpoint(model, path)[0] == 7
    assert_same_weights(model, values)
    assert [p.name for p in tmp_path.iterdir()] == [CHECKPOINT]


def test_a_run_that_filled_the_disk_goes_on_once_there_is_room(tmp_path, monkeypatch):
    def fsync(number):
        if (tmp_path / "run" / CHECKPOINT).exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)
    full = f"could not be written: No space left .*\n.*train --resume {tmp_path}/run$"
    with pytest.raises(NotWrittenError, match=full):
        run_of(HARDLY, tmp_path / "run")
    assert not list((tmp_path / "run").glob(".*")), "nothing half written"
    monkeypatch.undo()
    run_of(Job.of_run(tmp_path / "run"), tmp_path / "run", resume=True)
    assert [row["epoch"] for row in rows(tmp_path / "run")] == ["0", "1"]


def contents(folder):
    return {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("resume", [False, True])
def test_a_run_that_is_going_on_elsewhere_is_left_alone(tmp_path, hold, monkeypatch, resume):
    process = hold(tmp_path)
    monkeypatch.setattr(training, "make_model", pytest.fail)
    before = contents(tmp_path)
    with pytest.raises(FolderInUseError, match=f"is in use by process {process.pid} on"):
        run_of(job(), tmp_path, resume=resume)
    assert contents(tmp_path) == before


def test_a_run_that_was_taken_over_writes_no_more(tmp_path, monkeypatch):
    """By another host, for this one slept: its newer checkpoint stays."""
    before, taken = RunCallback.on_train_batch_end, []

    def on_train_batch_end(self, batch, logs=None):
        if self.step == 4:
            written_by(tmp_path)
            (tmp_path / CHECKPOINT).write_bytes(b"newer")
            taken.append(contents(tmp_path))
        before(self, batch, logs)

    monkeypatch.setattr(RunCallback, "on_train_batch_end", on_train_batch_end)
    with pytest.raises(FolderInUseError, match="was taken over by process 7 on elsewhere"):
        run_of(job(), tmp_path)
    assert [contents(tmp_path)] == taken
    (tmp_path / HOLDER).unlink()
    (tmp_path / CHECKPOINT).unlink()
    monkeypatch.setattr(RunCallback, "on_train_batch_end", before)
    run_of(job(), tmp_path, resume=True)
    with locked(tmp_path):  # it is free again
        pass


def test_weights_that_are_not_finite_are_no_checkpoint(tmp_path):
    model, path = compiled(), tmp_path / CHECKPOINT
    model.get_layer("predictions").bias.assign([np.nan, 0.0])
    with pytest.raises(FloatingPointError, match="predictions/bias"):
        save_checkpoint(model, path, 1)
    path.write_bytes(b"text")
    with pytest.raises(ValueError, match="is not a checkpoint"):
        load_checkpoint(model, path)


def test_regularization_and_freezing_of_a_recipe():
    model = compiled()
    kernels = [v for v in model.trainable_variables if v.name.endswith("kernel")]
    wanted = sum(5e-4 / 2 * (keras.ops.convert_to_numpy(v) ** 2).sum() for v in kernels)
    np.testing.assert_allclose(float(sum(model.losses)), wanted, rtol=1e-4)
    frozen = compiled(freeze_backbone=True)
    assert [v.path for v in frozen.trainable_variables] == [
        "predictions/kernel",
        "predictions/bias",
    ]


def test_a_job_can_be_written_and_read():
    assert Job.from_dict(job().to_dict()) == job()


TWO_DEVICES = """
import os, sys
from dataclasses import replace
if os.environ["KERAS_BACKEND"] == "tensorflow":
    import tensorflow as tf
    cpu = tf.config.list_physical_devices("CPU")[0]
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, two)
import keras
from support.runs import HARDLY, run_of
model = run_of(replace(HARDLY, devices=2), sys.argv[1])
print("STEP", int(keras.ops.convert_to_numpy(model.get_layer("training_step").step)))
"""


@every_backend
def test_two_devices_train_as_one(tmp_path):
    if keras.config.backend() == "torch":
        with pytest.raises(ValueError, match="devices: wanted 1 under torch, got 2"):
            run_of(replace(HARDLY, devices=2), tmp_path)
        return
    environment = os.environ | {
        "PYTHONPATH": TESTS,
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
        "NPROC": "8",  # of JAX: two devices starve each other on two threads
    }
    command = [sys.executable, "-c", TWO_DEVICES, str(tmp_path / "two")]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "STEP 6" in result.stdout
    run_of(HARDLY, tmp_path / "one")
    for one, two in zip(rows(tmp_path / "one"), rows(tmp_path / "two"), strict=True):
        assert abs(float(two["loss"]) - float(one["loss"])) <= 1e-4
        assert abs(float(two["val_loss"]) - float(one["val_loss"])) <= 1e-3
