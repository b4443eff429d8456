"""Searches on simulated cells, of which there are as many as a search asks for.

The table that `rungs.py` replays has too few cells to say what proposals are worth. Here a cell's
quality is a smooth random function of its features plus what they do not explain, and its reward
after some epochs adds errors: of the validation images, the same at all rungs; of early rungs,
partly another smooth function of the cell. Their sizes give about the correlations that `rungs.py`
prints. Prints, for each kind of search, the quality of the cell that it ends with, in
deviations of random cells, how many cells it tried and the mean quality of the last proposals. What
it says holds as far as real cells are like these.

    python benchmarks/simulation.py
"""

import argparse
import math
import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # one core per process

import numpy as np

from keras_nasnet.search import Controller, PredictorSearcher, RandomSearcher, SearchSpace
from keras_nasnet.search.rungs import Rungs

SPACE = SearchSpace()
NUM_WAVES = 1_000  # of a random function
EXPLAINED = 0.6  # of the variance of qualities, by the features
VALIDATION = 0.385  # variance of the error of the validation images
EARLY = (0.35, 0.3)  # of that of early rungs, by a cell's features and by chance
# Shares of both errors after some epochs: rewards correlate with quality by 0.76, 0.83 and 0.85.
SHARES = {1: (0.4, 1.0), 3: (0.85, 0.5), 9: (1.0, 0.0)}
EPOCH_S, OVERHEAD_S = 6.6, 4.6  # of a child, of a rung of a child
LAST = 15


class PublishedRungs(Rungs):
    """Those of Li et al. 2018, where each goes on that is among the best when it is asked."""

    def promotable(self, rewards, others=()):
        for rung in reversed(range(len(self) - 1)):
            ended = [key for key, each in rewards.items() if len(each) > rung]
            ended.sort(key=lambda key: rewards[key][rung], reverse=True)
            for key in ended[: len(ended) // self.factor]:
                if len(rewards[key]) == rung + 1 and key not in others:
                    return key
        return None


class Smooth:
    """A random function of a cell's features, a sum of waves: mean 0, variance 1."""

    def __init__(self, rng):
        random = np.random.default_rng(0).integers([n for _, n in SPACE], size=(2_000, len(SPACE)))
        num_features = SPACE.features(random[:1]).shape[1]
        self.frequencies = rng.normal(scale=math.sqrt(2), size=(num_features, NUM_WAVES))
        self.phases = rng.uniform(0, 2 * np.pi, NUM_WAVES)
        self.amplitudes = rng.normal(size=NUM_WAVES)
        values = self._sum(random)
        self.mean, self.deviation = values.mean(), values.std()

    def _sum(self, choices):
        return np.cos(SPACE.features(choices) @ self.frequencies + self.phases) @ self.amplitudes

    def __call__(self, choices):
        return float((self._sum(np.array([choices]))[0] - self.mean) / self.deviation)


class Population:
    """Qualities and rewards of cells, drawn when they are asked for."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.quality, self.early = Smooth(self.rng), Smooth(self.rng)

    def cell(self, choices):
        """Its quality, and its reward after some epochs, a dict."""
        normal = self.rng.normal
        quality = math.sqrt(EXPLAINED) * self.quality(choices)
        quality += math.sqrt(1 - EXPLAINED) * normal()
        validation = math.sqrt(VALIDATION) * normal()
        smooth, rest = map(math.sqrt, EARLY)
        early = smooth * self.early(choices) + rest * normal()
        rewards = {
            epochs: quality + one * validation + other * early
            for epochs, (one, other) in SHARES.items()
        }
        return quality, rewards


def search(make, rungs, seconds, seed):
    """The quality of the cell it ends with, how many it tried, the mean of the last proposals."""
    population, searcher = Population(10_000 + seed), make(SPACE, seed)
    costs = OVERHEAD_S + EPOCH_S * np.diff([0, *rungs.epochs])
    cells, rewards = {}, {}
    while True:
        cell, rung = rungs.promotable(rewards), 0
        if cell is not None and costs[len(rewards[cell])] <= seconds:
            rung = len(rewards[cell])
        elif costs[0] <= seconds:
            cell = str(len(cells))
            cells[cell] = population.cell([*searcher.ask(cell).values()])
        else:
            break
        seconds -= costs[rung]
        reward = cells[cell][1][rungs.epochs[rung]]
        rewards.setdefault(cell, []).append(reward)
        if rung == 0:
            searcher.tell(cell, reward)
    best = max(rewards, key=lambda cell: (len(rewards[cell]), rewards[cell][-1]))
    last = [quality for quality, _ in list(cells.values())[-LAST:]]
    return cells[best][0], len(cells), np.mean(last)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--searches", type=int, default=200, help="of each kind")
    parser.add_argument("--minutes", type=float, default=27.5, help="of all workers together")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    options = parser.parse_args()
    epochs = tuple(SHARES)
    kinds = {"random, no rungs": (RandomSearcher, Rungs(epochs[-1:]))}
    for name, make in (
        ("random", RandomSearcher),
        ("controller", Controller),
        ("controller, 10 random trials at first", partial(Controller, num_starts=10)),
        ("predictor", PredictorSearcher),
    ):
        kinds[f"{name}, rungs as published"] = make, PublishedRungs(epochs)
        kinds[f"{name}, rungs"] = make, Rungs(epochs)
    print(f"{'':54} quality         cells  last {LAST} proposals")
    with ProcessPoolExecutor(options.processes) as processes:
        for name, (make, rungs) in kinds.items():
            one = partial(search, make, rungs, 60 * options.minutes)
            found = np.array(list(processes.map(one, range(options.searches), chunksize=5)))
            quality, cells, last = found.mean(0)
            error = found[:, 0].std(ddof=1) / math.sqrt(len(found))
            print(f"{name:54} {quality:.2f} +- {error:.2f}  {cells:6.0f}  {last:.2f}", flush=True)


if __name__ == "__main__":
    main()
