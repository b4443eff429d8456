"""Training with plain `model.fit`, and the folder it leaves: a model that can be used again."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np

from keras_nasnet.atomic import replace_file
from keras_nasnet.data import Batches, Source

MODEL, CONFIG, LOG, CURVES = "model.keras", "config.json", "log.csv", "curves.png"


@dataclass(frozen=True, slots=True)
class Settings:
    """How to train. The defaults are the authors' for CIFAR-10 (slim cifarnet, paper A.5).

    Args:
        epochs: int >= 1.
        batch_size: int >= 1.
        learning_rate: float > 0, at the start; falls to zero along a cosine.
        momentum: float in [0, 1).
        clip_norm: float > 0, of all gradients together.
        seed: int.
    """

    epochs: int = 10
    batch_size: int = 32
    learning_rate: float = 0.025
    momentum: float = 0.9
    clip_norm: float = 5.0
    seed: int = 0

    def __post_init__(self):
        for name in ("epochs", "batch_size"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 1:
                raise ValueError(
                    f"{name}: wanted an integer of at least 1, got {getattr(self, name)}"
                )
        for name in ("learning_rate", "clip_norm"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name}: wanted a number above 0, got {getattr(self, name)}")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum: wanted [0, 1), got {self.momentum}")


def train(
    model: keras.Model, data: tuple[Source, Source], run, settings: Settings | None = None
) -> keras.callbacks.History:
    """Trains a classifier and writes a run folder.

    The folder holds `model.keras` of the epoch with the best validation accuracy, `config.json`,
    `log.csv` with a row an epoch and, where matplotlib is installed, `curves.png`.

    Args:
        model: with a softmax over the classes of the data and a fixed input size.
        data: training and validation `Source`.
        run: path of the folder, which is made.
        settings: `Settings`, or None for its defaults.

    Returns:
        The history that `model.fit` returned.

    Raises:
        ValueError: if the model's outputs are not the data's classes.
    """
    settings = settings or Settings()
    training, validation = data
    if model.output_shape[-1] != len(training.class_names):
        raise ValueError(
            f"the model has {model.output_shape[-1]} classes, the data {len(training.class_names)}"
        )
    run = Path(run)
    run.mkdir(parents=True, exist_ok=True)
    size = model.input_shape[1:3]
    config = {"class_names": training.class_names, "size": size, "settings": asdict(settings)}
    replace_file(run / CONFIG, lambda path: path.write_text(json.dumps(config, indent=2)))

    batches = Batches(training, size, settings.batch_size, settings.seed)
    model.compile(
        keras.optimizers.SGD(
            keras.optimizers.schedules.CosineDecay(
                settings.learning_rate, settings.epochs * len(batches)
            ),
            settings.momentum,
            global_clipnorm=settings.clip_norm,
        ),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    history = model.fit(
        batches,
        epochs=settings.epochs,
        validation_data=Batches(validation, size, settings.batch_size),
        callbacks=[keras.callbacks.CSVLogger(run / LOG), _SaveBest(run / MODEL)],
    )
    draw_curves(history.history, run / CURVES)
    return history


class _SaveBest(keras.callbacks.Callback):
    """Saves the model of the best validation accuracy, beside and then in place of the last."""

    def __init__(self, path: Path):
        super().__init__()
        self.path = path
        self.best = -1.0

    def on_epoch_end(self, epoch, logs=None):
        accuracy = (logs or {}).get("val_accuracy", 0.0)
        if accuracy > self.best:
            self.best = accuracy
            replace_file(self.path, self.model.save)


def draw_curves(history: dict[str, list[float]], path: Path) -> None:
    """Draws loss and accuracy over the epochs; without matplotlib, nothing."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        return
    figure = Figure((9, 3.5), layout="constrained")
    epochs = np.arange(1, len(history["loss"]) + 1)
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        axes.plot(epochs, history[name], label="training")
        axes.plot(epochs, history[f"val_{name}"], label="validation")
        axes.set(xlabel="epoch", title=name)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend()
    replace_file(path, lambda beside: figure.savefig(beside, dpi=120))
