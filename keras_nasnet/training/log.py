"""What a run shows of itself: a CSV file, TensorBoard's logs, a picture of the curves."""

import csv
from pathlib import Path
from typing import Any

import numpy as np

from keras_nasnet.atomic import replace_file, told_of


class Log:
    """Rows of a run, one an epoch, in a CSV file and, where tensorboardX is installed, its logs.

    Args:
        run: path of the run folder.
        csv_name, tensorboard_name: str, of the file and the folder in it.
        num_epochs: int, how many rows of a file that is there are kept: those of the epochs that
            the checkpoint to go on from has behind it.
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
        """Adds an epoch's row; `step` and `epoch` are among its keys."""
        self.rows.append({key: _number(str(value)) for key, value in row.items()})
        write_rows(self.path, self.rows)
        if self._writer is not None:
            for key, value in self.rows[-1].items():
                if key not in ("epoch", "step"):
                    self._writer.add_scalar(key, value, row["step"])
            with told_of(self._folder, replaces=False):
                self._writer.flush()

    def close(self) -> None:
        """Ends the thread that writes TensorBoard's logs."""
        if self._writer is not None:
            with told_of(self._folder, replaces=False):
                self._writer.close()

    def best(self, key: str) -> float:
        """The greatest value of a column, -1 if there are no rows."""
        return max((row[key] for row in self.rows), default=-1.0)


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """Writes a CSV file, its header the keys of the first row."""

    def write(beside: Path) -> None:
        with beside.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)

    replace_file(path, write)


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def read_log(path: Path) -> list[dict[str, Any]]:
    """The rows of a log's CSV file, as numbers."""
    return [{key: _number(value) for key, value in row.items()} for row in read_rows(path)]


def _number(text: str) -> int | float:
    return int(text) if text.isdigit() else float(text)


def draw_curves(rows: list[dict[str, Any]], path: Path) -> None:
    """Draws loss and accuracy over the epochs; without matplotlib, nothing."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        return
    figure = Figure((9, 3.5), layout="constrained")
    epochs = np.array([row["epoch"] + 1 for row in rows])
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        axes.plot(epochs, [row[name] for row in rows], label="training")
        axes.plot(epochs, [row[f"val_{name}"] for row in rows], label="validation")
        axes.set(xlabel="epoch", title=name)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend()
    replace_file(path, lambda beside: figure.savefig(beside, dpi=120))
