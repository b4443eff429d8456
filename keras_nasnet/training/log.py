"""The logs of a run: a CSV file, TensorBoard logs, a plot of the curves."""

import csv
from pathlib import Path
from typing import Any

import numpy as np

from keras_nasnet.atomic import replace_file, told_of

LOG = "log.csv"
ENCODING: Any = {"encoding": "utf-8", "errors": "surrogateescape"}


class Log:
    """The log of a run, one row per epoch: a CSV file and, with tensorboardX, TensorBoard logs.

    Args:
        run: path of the run folder.
        csv_name, tensorboard_name: str, names of the file and the folder in it.
        num_epochs: int, how many rows of an existing file are kept: those of the epochs
            before the checkpoint.
    """

    def __init__(self, run: Path, csv_name: str, tensorboard_name: str, num_epochs: int = 0):
        self.path = run / csv_name
        self.rows: list[dict[str, Any]] = []
        if num_epochs and self.path.exists():
            self.rows = read_log(self.path)[:num_epochs]
        self._writer = None
        try:
            from tensorboardX import SummaryWriter
        except ModuleNotFoundError:
            return
        purge_step = self.rows[-1]["step"] + 1 if self.rows else 0
        self._folder = run / tensorboard_name
        with told_of(self._folder, replaces=False):
            self._writer = SummaryWriter(str(self._folder), purge_step=purge_step)

    def add(self, row: dict[str, Any]) -> None:
        """Adds a row for an epoch; its keys include `step` and `epoch`."""
        self.rows.append({key: _number(str(value)) for key, value in row.items()})
        write_rows(self.path, self.rows)
        if self._writer is not None:
            for key, value in self.rows[-1].items():
                if key not in ("epoch", "step"):
                    self._writer.add_scalar(key, value, row["step"])
            with told_of(self._folder, replaces=False):
                self._writer.flush()

    def close(self) -> None:
        """Stops the thread that writes TensorBoard logs."""
        if self._writer is not None:
            with told_of(self._folder, replaces=False):
                self._writer.close()


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """Writes a CSV file with the keys of the first row as its header, in UTF-8.

    Names of files that are no Unicode keep their bytes.
    """

    def write(beside: Path) -> None:
        with beside.open("w", newline="", **ENCODING) as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)

    replace_file(path, write)


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with path.open(newline="", **ENCODING) as file:
        return list(csv.DictReader(file))


def read_log(path: Path) -> list[dict[str, Any]]:
    """The rows of a log's CSV file as numbers."""
    return [{key: _number(value) for key, value in row.items()} for row in read_rows(path)]


def _number(text: str) -> int | float:
    return int(text) if text.isdigit() else float(text)


def draw_curves(
    rows: list[dict[str, Any]], path: Path, frozen: dict[str, float] | None = None
) -> None:
    """Writes what `plot_curves` plots; does nothing without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        return
    figure = Figure((9, 3.5), layout="constrained")
    plot_curves(figure, rows, frozen)
    replace_file(path, lambda beside: figure.savefig(beside, dpi=120))


def plot_curves(
    figure: Any, rows: list[dict[str, Any]], frozen: dict[str, float] | None = None
) -> None:
    """Plots loss and accuracy over the epochs.

    Args:
        figure: matplotlib's.
        rows: of a `Log`.
        frozen: `val_loss` and `val_accuracy` of the linear classifier on the frozen network that
            training started from, at the moment of unfreezing; None (default) if from none.
    """
    epochs = np.array([row["epoch"] + 1 for row in rows])
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        axes.plot(epochs, [row[name] for row in rows], label="training")
        validated = [row[f"val_{name}"] for row in rows]
        if frozen is None:
            axes.plot(epochs, validated, label="validation")
        else:
            axes.plot([0, *epochs], [frozen[f"val_{name}"], *validated], label="validation")
            axes.axvline(0, color="#888888", linestyle=":", label="unfrozen")
        axes.set(xlabel="epoch", title=name)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend()
