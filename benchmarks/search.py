"""Searchers on tables of trained networks: the nine from NAS-Bench-Graph (Qin et al. 2022).

Prints, for each data set and budget, mean and standard deviation over seeds of the best validation
accuracy found, and for all together the share of the way from a table's median to its best.

    pip install nas-bench-graph
    python benchmarks/search.py --seeds 100
    python benchmarks/search.py --ablations --seeds 20
    python benchmarks/search.py --overhead
    python benchmarks/search.py --engines
"""

import argparse
import itertools
import os
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # one core per process

import numpy as np

from keras_nasnet.search import (
    PUBLISHED,
    Controller,
    LocalSearch,
    PredictorSearcher,
    RandomSearcher,
    RegularizedEvolution,
    Searcher,
    SearchSpace,
)

DATA_SETS = (
    "cora", "citeseer", "pubmed", "cs", "physics", "photo", "computers", "arxiv", "proteins",
)  # fmt: skip
BUDGETS = (50, 100, 200, 500)


class Reinforce(Searcher):
    """Independent logits, one update per trial, moving-average baseline (Williams 1992)."""

    learning_rate, decay = 0.1, 0.95

    def __init__(self, decisions, seed=None, *, canonical=None):
        super().__init__(decisions, seed, canonical=canonical)
        self.logits = [np.zeros(count) for count in self.counts]
        self.mean = self.square = None

    def _propose(self):
        return tuple(int(self.rng.choice(len(p), p=p)) for p in map(softmax, self.logits))

    def _learn(self):
        trial, reward = next(reversed(self.rewards.items()))
        if reward is None:
            return
        if self.mean is None:
            self.mean, self.square = reward, 0.0
        advantage = (reward - self.mean) / (np.sqrt(self.square) + 1e-6)
        for logits, choice in zip(self.logits, self.choices[trial], strict=True):
            step = -softmax(logits)
            step[choice] += 1
            logits += self.learning_rate * np.clip(advantage, -3, 3) * step
        self.square += (1 - self.decay) * ((reward - self.mean) ** 2 - self.square)
        self.mean += (1 - self.decay) * (reward - self.mean)


def softmax(logits):
    exponential = np.exp(logits - logits.max())
    return exponential / exponential.sum()


SEARCHERS = {
    "random": RandomSearcher,
    "REINFORCE, independent logits": Reinforce,
    "regularized evolution": RegularizedEvolution,
    "local search": LocalSearch,
    "predictor": PredictorSearcher,
    "controller": Controller,
}
ABLATIONS = {
    "as published": partial(Controller, **PUBLISHED),
    "+ larger steps": partial(Controller, **PUBLISHED | {"learning_rate": 0.02}),
    "+ replay of the best": partial(
        Controller, **PUBLISHED | {"learning_rate": 0.02, "num_replayed": 10}
    ),
    "+ entropy": partial(Controller, num_candidates=1, num_starts=0),
    "+ random trials at first": partial(Controller, num_candidates=1),
    "+ predictor": partial(Controller, num_mutants=0),
    "+ neighbours of the best (default)": Controller,
    "default, two steps per update": partial(Controller, num_epochs=2),
    "default without replay": partial(Controller, num_replayed=0),
    "default without entropy": partial(Controller, entropy_weight=PUBLISHED["entropy_weight"]),
    "default, learning nothing": partial(Controller, learning_rate=1e-12),
}


@cache
def table(name):
    """Decisions of a data set's table and the accuracy of each choice.

    The nine ways to link four operations are one decision, and each operation is another.
    Accuracies are in percent.
    """
    from nas_bench_graph.architecture import Arch, gnn_list, gnn_list_proteins, link_list
    from nas_bench_graph.readbench import light_read

    operations = gnn_list_proteins if name == "proteins" else gnn_list
    trained = light_read(name)
    counts = (len(link_list), *[len(operations)] * 4)
    accuracies = {}
    for link, *ops in itertools.product(*map(range, counts)):
        network = Arch(list(link_list[link]), [operations[op] for op in ops]).valid_hash()
        if network in trained:
            accuracies[link, *ops] = 100 * float(trained[network]["valid_perf"])
    names = ("link", "op_0", "op_1", "op_2", "op_3")
    return tuple(zip(names, counts, strict=True)), accuracies


def best_found(make, data_set, budgets, seed):
    """The best accuracy after each budget of one search."""
    decisions, accuracies = table(data_set)
    searcher, best, found = make(decisions, seed), 0.0, []
    for trial in range(max(budgets)):
        accuracy = accuracies.get(tuple(searcher.ask(str(trial)).values()))
        searcher.tell(str(trial), accuracy)
        best = max(best, accuracy or 0.0)
        if trial + 1 in budgets:
            found.append(best)
    return found


def compare(searchers, options):
    shares = {}  # (searcher, budget) -> one per data set
    with ProcessPoolExecutor(options.processes) as pool:
        for data_set in options.data_sets:
            accuracies = np.array(list(table(data_set)[1].values()))
            median, greatest = np.median(accuracies), accuracies.max()
            print(f"\n{data_set}: best of {len(accuracies):,} is {greatest:.2f}%")
            for name, make in searchers.items():
                run = partial(best_found, make, data_set, options.budgets)
                found = np.array(list(pool.map(run, range(options.seeds), chunksize=4)))
                columns = [
                    f"{budget}: {mean:.2f} +- {spread:.2f}"
                    for budget, mean, spread in zip(
                        options.budgets, found.mean(0), found.std(0), strict=True
                    )
                ]
                print(f"  {name:32}", "  ".join(columns), flush=True)
                for budget, mean in zip(options.budgets, found.mean(0), strict=True):
                    share = (mean - median) / (greatest - median)
                    shares.setdefault((name, budget), []).append(share)
    print("\nall: share of the way from the median to the best, data sets ahead of the first row")
    first = next(iter(searchers))
    for name in searchers:
        columns = [
            f"{budget}: {np.mean(shares[name, budget]):.3f} "
            f"({np.sum(np.greater(shares[name, budget], shares[first, budget]))})"
            for budget in options.budgets
        ]
        print(f"  {name:32}", "  ".join(columns))


def overhead(num_trials=500):
    """Milliseconds of an `ask` and its `tell` for the 50 decisions of NASNet's own space."""
    rng = np.random.default_rng(0)
    for name, make in SEARCHERS.items():
        searcher, times = make(SearchSpace(), 0), []
        for trial in range(num_trials):
            begin = time.perf_counter()
            searcher.ask(str(trial))
            searcher.tell(str(trial), rng.normal())
            times.append(1000 * (time.perf_counter() - begin))
        print(
            f"{name:32} mean {statistics.mean(times):.2f} ms, median "
            f"{statistics.median(times):.2f}, max {max(times):.1f}, {num_trials} trials",
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--budgets", type=int, nargs="+", default=BUDGETS)
    parser.add_argument("--data-sets", nargs="+", default=DATA_SETS, choices=DATA_SETS)
    parser.add_argument("--searchers", nargs="+", default=list(SEARCHERS), choices=SEARCHERS)
    parser.add_argument(
        "--ablations", action="store_true", help="ablate the controller, part by part"
    )
    parser.add_argument(
        "--overhead", action="store_true", help="measure time for 50 decisions instead"
    )
    parser.add_argument("--engines", action="store_true", help="measure what trials run on instead")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    options = parser.parse_args()
    if options.overhead:
        return overhead()
    if options.engines:
        sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
        from engines import compare as compare_engines

        return compare_engines(num_trials=20, num_kills=4)
    compare(
        ABLATIONS if options.ablations else {name: SEARCHERS[name] for name in options.searchers},
        options,
    )


if __name__ == "__main__":
    main()
