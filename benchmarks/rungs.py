"""Rungs, what they rank by, and proposals: searches replayed on recorded children.

A search of one worker may try the random cells of the table that `curves.py` has recorded, and no
others: with rungs and without, by what they rank cells, with random proposals or a predictor's. The
benchmark prints the accuracy, after all epochs and on other images, of the cell that a search ends
with, how early cells are ranked as at the end, and how well they are predicted from others. Replays
differ in the order of the cells; each cell was trained once, so the intervals say nothing about
other cells, or the same ones with other seeds.

    python benchmarks/rungs.py
"""

import argparse
import csv
import math
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # one core per process

import numpy as np
from curves import CURVES, TABLE

from keras_nasnet.search.rungs import Rungs
from keras_nasnet.search.searchers import PredictorSearcher
from keras_nasnet.search.searchers.predictor import (
    GaussianProcess,
    Predictor,
    likeliest,
    normal_scores,
)
from keras_nasnet.search.space import SearchSpace


@dataclass(frozen=True)
class Recorded:
    """A row of the table, with its curves, a float array `(epochs,)` each.

    `accuracy` is that after the last epoch, on images that no search ranks by.
    """

    cell: str
    choices: tuple[int, ...]
    parameters: int
    mult_adds: int
    accuracy: float
    curves: dict[str, np.ndarray]


def read(path):
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    epochs = sum(column.startswith("loss_") for column in rows[0])
    for row in rows:
        curves = {
            curve: np.array([float(row[f"{curve}_{epoch + 1}"]) for epoch in range(epochs)])
            for curve in CURVES
        }
        choices = tuple(map(int, row["choices"].split()))
        sizes = int(row["parameters"]), int(row["mult_adds"])
        yield Recorded(row["cell"], choices, *sizes, float(row["accuracy"]), curves)


# What cells are ranked by after each epoch, higher is better: float arrays `(epochs,)`.
MEASURES: dict[str, Callable[[dict[str, np.ndarray]], np.ndarray]] = {
    "accuracy, best epoch": lambda curves: np.maximum.accumulate(curves["val_accuracy"]),
    "accuracy, last epoch": lambda curves: curves["val_accuracy"],
    "the same, weights not averaged": lambda curves: curves["val_accuracy_of_last"],
    "cross-entropy in validation": lambda curves: -curves["val_cross_entropy"],
    "cross-entropy in training": lambda curves: -curves["cross_entropy"],
    "sum of them": lambda curves: -np.cumsum(curves["cross_entropy"]),
    "sum of training losses with L2": lambda curves: -np.cumsum(curves["loss"]),
}
REWARD = next(iter(MEASURES))  # of a search's children


@dataclass(frozen=True)
class Setting:
    """How a search goes.

    Args:
        rungs: `Rungs`.
        measure: key of `MEASURES` that cells are ranked by at each rung but the last, where it is
            the reward.
        starts: int, random cells after which the next is the one that the predictor of
            `PredictorSearcher` ranks first of all that are left; None for random ones only.
    """

    rungs: Rungs
    measure: str = REWARD
    starts: int | None = None


def replay_one(setting, pool, budget, overhead, seed):
    """The accuracy of the cell that a search ends with, and how many it has tried.

    Args:
        setting: `Setting`.
        pool: dict of `Recorded` by cell.
        budget, overhead: floats, epochs: for the search, and what a rung of a cell costs beside
            its own.
        seed: int; the order of random cells is the same for all settings.
    """
    rungs = setting.rungs
    searcher = PredictorSearcher(SearchSpace(), seed)
    left = searcher.rng.permutation(list(pool)).tolist()
    predictor = Predictor(searcher)
    costs = overhead + np.diff([0, *rungs.epochs])
    rewards, failed = {}, set()
    while True:
        cell, rung = rungs.promotable(rewards, failed), 0
        if cell is not None and costs[len(rewards[cell])] <= budget:
            rung = len(rewards[cell])
        elif left and costs[0] <= budget:
            guided = setting.starts is not None and len(pool) - len(left) >= setting.starts
            cell = ranked_first(predictor, pool, left) if guided else left[0]
            left.remove(cell)
        else:
            break
        budget -= costs[rung]
        measure = MEASURES[REWARD if rung == len(rungs) - 1 else setting.measure]
        reward = measure(pool[cell].curves)[rungs.epochs[rung] - 1]
        if rung == 0:
            searcher.tell(cell, reward, pool[cell].choices)
        if math.isfinite(reward):
            rewards.setdefault(cell, []).append(reward)
        else:
            failed.add(cell)
    best = max(rewards, key=lambda cell: (len(rewards[cell]), rewards[cell][-1]))
    return pool[best].accuracy, len(pool) - len(left)


def ranked_first(predictor, pool, cells):
    by_choices = {pool[cell].choices: cell for cell in cells}
    ranked = predictor.best_first(np.array(list(by_choices), "int16"))
    return by_choices[tuple(ranked[0].tolist())]


def replay(options):
    table = list(read(options.table))
    pool = {each.cell: each for each in table if each.choices}
    accuracies = np.array([each.accuracy for each in pool.values()])
    print(
        f"{len(pool)} random cells: accuracy {accuracies.mean():.4f} in the mean, deviation "
        f"{accuracies.std(ddof=1):.4f}, best {accuracies.max():.4f}"
    )
    for each in table:
        if not each.choices:
            better = (accuracies > each.accuracy).mean()
            print(f"{each.cell}: {each.accuracy:.4f}, {better:.0%} of the random cells are better")
    print_correlations(list(pool.values()))
    print_predictions(list(pool.values()))
    epochs = len(table[0].curves["loss"])
    epoch_s = options.epoch_steps * options.step_ms / 1000
    compare = partial(print_replays, pool, options, epoch_s)
    halved = Rungs.of(epochs, options.rungs, options.factor)
    by_rungs = {"no rungs": Setting(Rungs((epochs,)))}
    for factor in (2, 3, 4):
        for number in range(2, Rungs.most(epochs, factor) + 1):
            rungs = Rungs.of(epochs, number, factor)
            by_rungs[f"to epochs {rungs.epochs}, factor {factor}"] = Setting(rungs)
    compare("rungs", by_rungs)
    compare(f"ranked at {halved.epochs} by", {name: Setting(halved, name) for name in MEASURES})
    compare(
        "proposals",
        {
            f"{name}, {proposals}": Setting(rungs, starts=starts)
            for name, rungs in (("no rungs", Rungs((epochs,))), (f"{halved.epochs}", halved))
            for proposals, starts in (
                ("random", None),
                (f"predictor after {options.starts}", options.starts),
            )
        },
    )


def print_correlations(pool):
    """How much of the last order of cells is there before: Spearman's rank correlation."""
    from scipy.stats import spearmanr

    final = [each.accuracy for each in pool]
    print("\nSpearman correlation with the accuracy that cells are judged by, after each epoch")
    for count in ("parameters", "mult_adds"):
        value = spearmanr([getattr(each, count) for each in pool], final).statistic
        print(f"  {count:30} {value:.2f}")
    for name, measure in MEASURES.items():
        by_epoch = np.array([measure(each.curves) for each in pool]).T
        values = [spearmanr(each, final, nan_policy="omit").statistic for each in by_epoch]
        print(f"  {name:30} {' '.join(f'{value:.2f}' for value in values)}")


def print_predictions(pool):
    """How well each cell's accuracy is predicted from the others': the same correlation."""
    from scipy.stats import spearmanr

    choices = np.array([each.choices for each in pool])
    accuracies = np.array([each.accuracy for each in pool])
    print("\nSpearman correlation with it of the predictor's, told all other cells'")
    space = SearchSpace()
    for name, decisions in (("features", space), ("decisions that differ", list(space))):
        features = PredictorSearcher(decisions).features(choices)
        predicted = []
        for place in range(len(pool)):
            told = np.delete(features, place, 0)
            scores = normal_scores(np.delete(accuracies, place))
            process = GaussianProcess(told, *likeliest(told, scores))
            predicted.append(process(features[[place]], scores)[0][0])
        print(f"  {name:30} {spearmanr(predicted, accuracies).statistic:.2f}")


def print_replays(pool, options, epoch_s, title, settings):
    """Mean and deviation for each setting and budget, and the difference from the first setting."""
    overhead = options.overhead / epoch_s
    print(f"\n{title}: {options.replays} replays each, {options.overhead} s beside a rung's epochs")
    base = {}
    with ProcessPoolExecutor(options.processes) as processes:
        for name, setting in settings.items():
            print(f"  {name}")
            for minutes in options.minutes:
                one = partial(replay_one, setting, pool, 60 * minutes / epoch_s, overhead)
                ended = processes.map(one, range(options.replays), chunksize=10)
                accuracy, tried = np.array(list(ended)).T
                difference = accuracy - base.setdefault(minutes, accuracy)
                error = 1.96 * difference.std(ddof=1) / math.sqrt(len(difference))
                print(
                    f"    {minutes:3} min: {accuracy.mean():.4f} +- {accuracy.std(ddof=1):.4f}, "
                    f"{difference.mean():+.4f} ({difference.mean() - error:+.4f} to "
                    f"{difference.mean() + error:+.4f}); {tried.mean():.0f} cells",
                    flush=True,
                )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--replays", type=int, default=100)
    parser.add_argument("--minutes", type=int, nargs="+", default=(5, 10, 15, 20))
    parser.add_argument("--rungs", type=int, default=3, help="to compare measures and proposals")
    parser.add_argument("--factor", type=int, default=3)
    parser.add_argument("--starts", type=int, default=20, help="random cells before a predictor's")
    parser.add_argument("--step-ms", type=float, default=45)
    parser.add_argument("--epoch-steps", type=int, default=93)
    parser.add_argument("--overhead", type=float, default=3.4, help="seconds of a rung of a child")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    replay(parser.parse_args())


if __name__ == "__main__":
    main()
