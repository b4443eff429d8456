"""Whether children rank cells as larger networks do: the cells of `evidence.py`, as children.

Trains each cell that `evidence.py` has trained larger as `curves.py` trains children, with several
seeds, and judges it by 10,000 images that no search ranks by. Prints for each kind of cell the mean
accuracy as children and larger, and how well the one ranks the cells as the other does. All images
are training images of the data; it goes on where it stopped when it is run again.

    KERAS_BACKEND=tensorflow python benchmarks/transfer.py --data cifar10
"""

import argparse
import os
import sys
from collections import defaultdict
from concurrent.futures import FIRST_COMPLETED, wait
from pathlib import Path

import numpy as np
from evidence import TABLES, TRAINED, Training, read
from scipy.stats import spearmanr

from keras_nasnet.search.local import LocalExecutor
from keras_nasnet.training.log import write_rows

TABLE = TABLES / "transfer.csv"


def accuracy(genotype, data, seed):
    """That of a child."""
    sys.path.insert(0, str(Path(__file__).parent))
    from curves import deal_out, train

    return train(genotype, data, list(deal_out(data)), seed)[1]


def measure(options):
    rows = read(TABLE)
    done = {(row["cell"], int(row["seed"])) for row in rows}
    cells = {row["cell"]: row["kind"] for row in read(TABLES / TRAINED)}
    waiting = [
        (Training(Path(), kind, cell, 0), seed)
        for seed in range(options.seeds)
        for cell, kind in cells.items()
        if (cell, seed) not in done
    ]
    executor, running = LocalExecutor(options.processes), {}
    try:
        while waiting or running:
            while waiting and len(running) < options.processes:
                unit, seed = waiting.pop(0)
                arguments = unit.genotype(TABLES), str(options.data), seed
                running[executor.submit(accuracy, *arguments)] = unit, seed
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                unit, seed = running.pop(future)
                row = {"kind": unit.kind, "cell": unit.cell, "seed": seed}
                rows.append(row | {"accuracy": f"{future.result():.4f}"})
                write_rows(TABLE, rows)
                print(*rows[-1].values(), flush=True)
    finally:
        executor.shutdown()


def means(path):
    """Mean accuracies by kind and cell."""
    found = defaultdict(list)
    for row in read(path):
        found[row["kind"], row["cell"]].append(float(row["accuracy"]))
    return {key: np.mean(each) for key, each in found.items()}


def report():
    children, larger = means(TABLE), means(TABLES / TRAINED)
    print(f"{'':12} cells  as children  larger")
    for kind in dict.fromkeys(kind for kind, _ in larger):
        keys = [key for key in larger if key[0] == kind]
        of_kind = (np.mean([table[key] for key in keys]) for table in (children, larger))
        print(f"{kind:12} {len(keys):5}  {next(of_kind):11.4f}  {next(of_kind):.4f}")
    for name, keys in (
        ("all cells", list(larger)),
        ("random cells", [key for key in larger if key[0] == "random"]),
    ):
        pairs = np.array([(children[key], larger[key]) for key in keys])
        deviations = pairs.std(0, ddof=1)
        print(
            f"{name}: Spearman correlation {spearmanr(*pairs.T).statistic:.2f}; deviations as "
            f"children {deviations[0]:.4f}, larger {deviations[1]:.4f}"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, type=Path, help="a folder of images")
    parser.add_argument("--seeds", type=int, default=2, help="of each child")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    measure(parser.parse_args())
    report()


if __name__ == "__main__":
    main()
