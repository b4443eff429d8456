"""Whether children rank cells as larger networks do: the cells of `evidence.py`, as children.

Trains each cell that `evidence.py` has trained larger as a child, of the scale of `curves.py` or
another, and judges it by 10,000 images that no search ranks by. Prints for each scale the mean
accuracy of each kind of cell as children and larger, and how well the one ranks cells as the other
does. All images that children see are training images of the data; it goes on where it stopped when
it is run again.

    KERAS_BACKEND=tensorflow python benchmarks/transfer.py --data cifar10
    KERAS_BACKEND=tensorflow python benchmarks/transfer.py --data cifar10 --different 6000
"""

import argparse
import os
import sys
import time
from collections import defaultdict
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import replace
from pathlib import Path

import numpy as np
from curves import SCALE
from evidence import TABLES, TRAINED, Training, read
from scipy.stats import spearmanr

from keras_nasnet.search.local import LocalExecutor
from keras_nasnet.training.log import write_rows

TABLE = TABLES / "transfer.csv"
OF_SCALE = ("pixels", "filters", "images", "epochs", "different")


def accuracy(genotype, data, different, scale, seed):
    """That of a child, and the seconds it took."""
    sys.path.insert(0, str(Path(__file__).parent))  # of a process that did not begin here
    from curves import deal_out, train

    begin = time.monotonic()
    _, found = train(genotype, data, list(deal_out(data, different)), scale, seed)
    return {"accuracy": f"{found:.4f}", "seconds": f"{time.monotonic() - begin:.0f}"}


def measure(options):
    scale = replace(
        SCALE,
        size=(options.pixels, options.pixels),
        filters=options.filters,
        num_images=options.images,
        epochs=options.epochs,
    )
    rows = read(TABLE)
    waiting = []
    for seed in range(options.seeds):
        for trained in read(TABLES / TRAINED):
            row = {name: trained[name] for name in ("kind", "cell")}
            row |= {name: str(getattr(options, name)) for name in OF_SCALE} | {"seed": str(seed)}
            if row not in waiting and not any(row.items() <= each.items() for each in rows):
                waiting.append(row)
    executor, running = LocalExecutor(options.processes), {}
    try:
        while waiting or running:
            while waiting and len(running) < options.processes:
                row = waiting.pop(0)
                cells = Training(Path(), row["kind"], row["cell"], 0).genotype(TABLES)
                arguments = cells, str(options.data), options.different, scale, int(row["seed"])
                running[executor.submit(accuracy, *arguments)] = row
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                rows.append(running.pop(future) | future.result())
                write_rows(TABLE, rows)
                print(*rows[-1].values(), flush=True)
    finally:
        executor.shutdown()


def means(rows):
    """Mean accuracies by kind and cell."""
    found = defaultdict(list)
    for row in rows:
        found[row["kind"], row["cell"]].append(float(row["accuracy"]))
    return {key: np.mean(each) for key, each in found.items()}


def report():
    larger = means(read(TABLES / TRAINED))
    by_scale = defaultdict(list)
    for row in read(TABLE):
        by_scale[tuple(row[name] for name in OF_SCALE)].append(row)
    for scale, rows in by_scale.items():
        seconds = np.mean([float(row["seconds"]) for row in rows])
        took = "" if np.isnan(seconds) else f": {seconds:.0f} s"
        settings = ", ".join(f"{value} {name}" for name, value in zip(OF_SCALE, scale, strict=True))
        print(f"\n{settings}{took}\n{'':12} cells  as children  larger")
        children = means(rows)
        for kind in dict.fromkeys(kind for kind, _ in children):
            keys = [key for key in children if key[0] == kind]
            small, large = (np.mean([table[key] for key in keys]) for table in (children, larger))
            print(f"{kind:12} {len(keys):5}  {small:11.4f}  {large:.4f}")
        pairs = np.array([(child, larger[key]) for key, child in children.items()])
        print(f"Spearman correlation {spearmanr(*pairs.T).statistic:.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, type=Path, help="a folder of images")
    parser.add_argument("--pixels", type=int, default=SCALE.size[0], help="height and width")
    parser.add_argument("--filters", type=int, default=SCALE.filters)
    parser.add_argument("--images", type=int, default=SCALE.num_images, help="of an epoch")
    parser.add_argument("--different", type=int, default=27_000, help="images of all epochs")
    parser.add_argument("--epochs", type=int, default=SCALE.epochs)
    parser.add_argument("--seeds", type=int, default=1, help="of each child")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    measure(parser.parse_args())
    report()


if __name__ == "__main__":
    main()
