"""What children of a search cost beside their steps, and whether both ways of training them agree.

`--cost`: children of random cells one after another in a process, without Keras's layers
("straight", as a search trains them under TensorFlow) or with the Keras model and `fit`; for each
how long the steps take and how long the rest, and the process's memory.

`--rewards`: the same cells trained both ways, straight with several seeds, to set the difference
between the ways against that between seeds. Each reward is written to `--out`, from which the
benchmark goes on when it is run again.

    KERAS_BACKEND=tensorflow python benchmarks/children.py --cost --cells 200 --filters 2
    KERAS_BACKEND=tensorflow python benchmarks/children.py --cost --way fit
    KERAS_BACKEND=tensorflow python benchmarks/children.py --rewards --cells 20 --out rewards.csv
"""

import argparse
import statistics
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from keras_nasnet.onednn import use_onednn

use_onednn()  # as the processes of a search

import keras  # noqa: E402

from keras_nasnet.cells.catalog import network_of  # noqa: E402
from keras_nasnet.cells.layout import output_width  # noqa: E402
from keras_nasnet.search import SearchSpace, straight  # noqa: E402
from keras_nasnet.search.child import train_child  # noqa: E402
from keras_nasnet.search.straight.run import Child  # noqa: E402
from keras_nasnet.training.callback import RunCallback  # noqa: E402
from keras_nasnet.training.job import Job  # noqa: E402
from keras_nasnet.training.log import read_rows, write_rows  # noqa: E402
from keras_nasnet.training.recipes import recipe  # noqa: E402

HELD_OUT = 0.1
PARTS = {"evaluation": "_end_epoch", "state": "_save"}
can_train = straight.can_train


def genotypes(options):
    """Random cells, others for each seed."""
    space, rng = SearchSpace(combiners=options.combiners), np.random.default_rng(options.seed)
    for _ in range(options.cells):
        yield space.decode([int(rng.integers(0, count)) for _, count in space])


def job_of(genotype, options, seed=0):
    filters = 4 * options.filters * output_width(genotype.normal)
    config = network_of(genotype, "cifar", num_cells=options.num_cells, penultimate_filters=filters)
    settings = recipe("search-child", epochs=options.epochs, batch_size=options.batch)
    return Job(config, settings, options.data, (options.size, options.size), seed)


def train(job, way):
    """A reward; `way` is "straight" or "fit"."""
    straight.can_train = can_train if way == "straight" else lambda job, folder: False
    with tempfile.TemporaryDirectory() as folder:
        return train_child(job, HELD_OUT, Path(folder))[0]


@contextmanager
def timed(kind, name, seconds):
    """Adds how long each call of a method took to a list."""
    method = getattr(kind, name)

    def call(*arguments, **named):
        begin = time.perf_counter()
        method(*arguments, **named)
        seconds.append(time.perf_counter() - begin)

    setattr(kind, name, call)
    try:
        yield
    finally:
        setattr(kind, name, method)


@contextmanager
def ticking(times):
    """Appends the time at each training step's end by `fit`."""
    method = RunCallback.on_train_batch_end

    def call(self, *arguments, **named):
        times.append(time.perf_counter())
        method(self, *arguments, **named)

    RunCallback.on_train_batch_end = call
    try:
        yield
    finally:
        RunCallback.on_train_batch_end = method


def cost_of(job, way):
    """Reward, seconds in all, seconds of the steps, and of the parts of the rest."""
    steps, ticks = [], []
    parts = {name: [] for name in PARTS}
    begin = time.perf_counter()
    with ExitStack() as stack:
        stack.enter_context(timed(Child, "_train_on", steps))
        stack.enter_context(ticking(ticks))
        for name, method in PARTS.items():
            stack.enter_context(timed(Child, method, parts[name]))
        reward = train(job, way)
    total = time.perf_counter() - begin
    seconds = {name: sum(each) for name, each in parts.items() if each}
    if way == "fit":
        steps = [0.0, *np.diff(ticks)]
    else:
        seconds["first step"] = steps[0]
    # The first is compiled, and those of `fit` that end an epoch are followed by its evaluation.
    median = statistics.median(steps)
    per_epoch = len(steps) // job.recipe.epochs
    others = [step for number, step in enumerate(steps) if number % per_epoch]
    return reward, total, [*others, *[median] * job.recipe.epochs], seconds


def resident():
    """MiB of memory of this process."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) >> 10


def cost(options):
    rests = []
    for number, genotype in enumerate(genotypes(options)):
        reward, total, steps, parts = cost_of(job_of(genotype, options), options.way)
        rest = total - sum(steps)
        rests.append(rest)
        of_these = ", ".join(f"{name} {seconds:.2f}" for name, seconds in parts.items())
        print(
            f"{number}: reward {reward:.4f}, {total:.1f} s, {len(steps)} steps of "
            f"{1e3 * statistics.median(steps):.0f} ms, the rest {rest:.2f} s ({of_these}), "
            f"{resident():,} MiB",
            flush=True,
        )
    rests = rests[1:] or rests  # the first child of a process pays for more than itself
    print(
        f"{options.way}: beside steps, median {statistics.median(rests):.2f} s, "
        f"{min(rests):.2f} to {max(rests):.2f}; the share of a child of 30 s is "
        f"{statistics.median(rests) / 30:.0%}"
    )


def rewards(options):
    rows = read_rows(options.out) if options.out.exists() else []
    known = {(int(row["cell"]), row["way"], int(row["seed"])): float(row["reward"]) for row in rows}
    runs = [("straight", seed) for seed in range(options.seeds)] + [("fit", 0)]
    for cell, genotype in enumerate(genotypes(options)):
        for way, seed in runs:
            if (cell, way, seed) not in known:
                reward = train(job_of(genotype, options, seed), way)
                known[cell, way, seed] = reward
                rows.append({"cell": cell, "way": way, "seed": seed, "reward": reward})
                write_rows(options.out, rows)
                print(f"cell {cell}, {way}, seed {seed}: {reward:.4f}", flush=True)
    cells = range(options.cells)
    seeds = np.array([[known[cell, "straight", s] for s in range(options.seeds)] for cell in cells])
    fit = np.array([known[cell, "fit", 0] for cell in cells])
    differences = seeds[:, 0] - fit
    spread = np.sqrt(seeds.var(1, ddof=1).mean())
    error = differences.std(ddof=1) / np.sqrt(len(fit))
    print(
        f"{options.cells} cells: straight {seeds[:, 0].mean():.4f}, fit {fit.mean():.4f}; the mean "
        f"difference at the same seed is {differences.mean():+.4f} +- {error:.4f} (standard "
        f"error), its root mean square {np.sqrt((differences**2).mean()):.4f}; between two seeds "
        f"{np.sqrt(2) * spread:.4f}; correlation {np.corrcoef(seeds[:, 0], fit)[0, 1]:.3f}"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    task = parser.add_mutually_exclusive_group(required=True)
    task.add_argument("--cost", action="store_true")
    task.add_argument("--rewards", action="store_true")
    parser.add_argument("--way", default="straight", choices=("straight", "fit"))
    parser.add_argument("--cells", type=int, default=6, help="number of random genotypes")
    parser.add_argument("--seed", type=int, default=0, help="of the genotypes")
    parser.add_argument("--seeds", type=int, default=2, help="of each cell's straight children")
    parser.add_argument("--combiners", nargs="+", default=["add", "concat"])
    parser.add_argument("--num-cells", type=int, default=1)
    parser.add_argument("--filters", type=int, default=8)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--out", type=Path, default=Path("rewards.csv"))
    options = parser.parse_args()
    if keras.config.backend() != "tensorflow":
        parser.error(f"children are straight under tensorflow only, got {keras.config.backend()}")
    rewards(options) if options.rewards else cost(options)


if __name__ == "__main__":
    main()
