"""Whether a search pays: its cells beside those of random search, random and published ones.

Does one unit of work after another, each a search or a training by `keras-nasnet`, and adds a row
to a table in `benchmarks/data`. Units that have a row are not repeated, and one that was stopped
goes on from its run in `--folder`. `evidence_table.py` shows what was found.

- search: (a) the search with its defaults and, by turns with it, (b) random search without rungs,
  its children trained as those of (a) are to the last rung; each 20 minutes and four seeds.
- training: the best cell of each search, NASNET_A and PNASNET_5 with two seeds, and eight random
  cells with one. All alike, from scratch, larger and longer than children.

All cells are within one limit of multiply-adds, 1.2 times NASNET_A's. The training images are dealt
out: those that searches see, those of the trainings, and those that `--development` evaluates on,
which does the same with seeds from 100 on, and its tables in `--folder`. Without it networks are
evaluated on the test images: once, after the settings below were fixed.

    KERAS_BACKEND=tensorflow python benchmarks/evidence.py --data cifar10 --folder evidence
    python benchmarks/evidence_table.py
"""

import argparse
import csv
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from keras_nasnet.cells.catalog import NASNET_A, PNASNET_5, network_of
from keras_nasnet.cells.genotype import Genotype
from keras_nasnet.cells.layout import output_width
from keras_nasnet.search.limits import Limits, size_of
from keras_nasnet.search.searchers import RandomSearcher
from keras_nasnet.search.space import SearchSpace

SEARCHES = {"a": "search", "b": "random search without rungs"}
MINUTES = 20
NUM_SEARCHES, NUM_TRAININGS, NUM_RANDOM = 4, 2, 8
# Seeds 0 to 2 are of a first round, whose children saw the same images in each epoch.
FIRST_SEARCH = 3
MAX_MULT_ADDS = int(1.2 * Limits().size_of(NASNET_A)["mult_adds"])
PUBLISHED = {"NASNET_A": NASNET_A, "PNASNET_5": PNASNET_5}
# Of the trainings: some six minutes each on two cores.
SIZE, NUM_CELLS, FILTERS, EPOCHS, BATCH = 24, 1, 12, 8, 64
SHARES = {  # of each class's training images
    "search/train": 0.6,  # a tenth of which the search ranks cells by
    "search/validation": 0.02,
    "training/train": 0.25,
    "training/validation": 0.03,
    "development": 0.1,
}
DEVELOPMENT = 100  # the first seed
TABLES = Path(__file__).parent / "data"
SEARCHED, TRAINED = "evidence_searches.csv", "evidence_trainings.csv"
COLUMNS = {
    SEARCHED: "method seed seconds reward cells children commit genotype",
    TRAINED: "kind cell seed seconds validation accuracy parameters mult_adds commit",
}


def search_options(data: Path, seed: int, scale: dict | None) -> list[str]:
    """The command line of (a); of (b) with the scale of (a)'s children."""
    options = ["--data", data, "--minutes", MINUTES, "--seed", seed]
    options += ["--max-mult-adds", MAX_MULT_ADDS]
    if scale is not None:
        options += ["--searcher", "random", "--rungs", 1]
        options += ["--num-cells", scale["num_cells"], "--filters", scale["filters"]]
        options += ["--input-size", "{}x{}".format(*scale["size"])]
        options += ["--images", scale["num_images"], "--set", f"epochs={scale['epochs']}"]
        options += [f"batch_size={scale['batch_size']}"]
        options += [f"augmentation={','.join(scale['augmentation'])}"]
        options += [f"ema_momentum={scale['ema_momentum']}"]
    return list(map(str, options))


def training_options(genotype: Path, data: Path, seed: int) -> list[str]:
    """The command line of a training."""
    config = network(Genotype.from_json(genotype.read_text()))
    options = ["--data", data, "--genotype", genotype, "--stem", config.stem, "--seed", seed]
    options += ["--num-cells", NUM_CELLS, "--penultimate-filters", config.penultimate_filters]
    options += ["--input-size", SIZE, "--recipe", "search-child", "--no-report"]
    options += ["--set", f"epochs={EPOCHS}", f"batch_size={BATCH}"]
    options += ["augmentation=flip", "ema_momentum=0.9"]  # as the search's own last network
    return list(map(str, options))


def network(genotype: Genotype):
    width = 4 * FILTERS * output_width(genotype.normal)
    return network_of(genotype, "cifar", num_cells=NUM_CELLS, penultimate_filters=width)


def keras_nasnet(log: Path, *options: object) -> None:
    """Runs the command; what it prints goes to the log."""
    command = [sys.executable, "-m", "keras_nasnet", *map(str, options)]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as file:
        print("\n$", *command[2:], file=file, flush=True)
        subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, check=True)


@dataclass(frozen=True)
class Search:
    """A unit of work: (a) or (b) with a seed."""

    folder: Path
    method: str
    seed: int

    table: ClassVar = SEARCHED

    def __str__(self):
        return f"{self.method}-{self.seed}"

    @property
    def key(self) -> dict[str, str]:
        return {"method": self.method, "seed": str(self.seed)}

    def run(self, data: Path, test: Path, tables: Path) -> dict[str, object]:
        runs = self.folder / "searches"
        run, log = runs / str(self), runs / f"{self}.log"
        begin = time.monotonic()
        if (run / "search.json").exists():
            keras_nasnet(log, "search", "--resume", run)
        else:
            scale = None
            if self.method == "b":
                scale = json.loads(row_of(tables, Search(self.folder, "a", self.seed))["children"])
            options = search_options(data / "search", self.seed, scale)
            keras_nasnet(log, "search", *options, "--out", run)
        seconds = time.monotonic() - begin
        trials = read(run / "trials.csv")
        reached = Counter(int(row["epochs"]) for row in trials)
        best = [row for row in trials if int(row["epochs"]) == max(reached)]
        plan = json.loads((run / "search.json").read_text())["plan"]
        genotype = Genotype.from_json((run / "best.json").read_text())
        return {
            "seconds": round(seconds),
            "reward": round(max(float(row["reward"]) for row in best if row["reward"]), 4),
            "cells": ", ".join(f"{reached[last]} to epoch {last}" for last in sorted(reached)),
            "children": json.dumps(plan["scale"]),
            "genotype": json.dumps(genotype.to_dict()),
        }


@dataclass(frozen=True)
class Training:
    """A unit of work: a cell trained with a seed."""

    folder: Path
    kind: str
    cell: str
    seed: int

    table: ClassVar = TRAINED

    def __str__(self):
        return f"{self.cell} with seed {self.seed}"

    @property
    def key(self) -> dict[str, str]:
        return {"kind": self.kind, "cell": self.cell, "seed": str(self.seed)}

    def run(self, data: Path, test: Path, tables: Path) -> dict[str, object]:
        runs = self.folder / "trainings"
        run, log = (runs / f"{self.cell}-{self.seed}{suffix}" for suffix in ("", ".log"))
        genotype = self.folder / "cells" / f"{self.cell}.json"
        genotype.parent.mkdir(parents=True, exist_ok=True)
        genotype.write_text(self.genotype(tables).to_json())
        begin = time.monotonic()
        if (run / "config.json").exists():
            keras_nasnet(log, "train", "--resume", run, "--no-report")
        else:
            options = training_options(genotype, data / "training", self.seed)
            keras_nasnet(log, "train", *options, "--out", run)
        seconds = time.monotonic() - begin
        predictions = run / "predictions.csv"
        keras_nasnet(log, "evaluate", run, "--data", test, "--csv", predictions)
        right = [row["predicted"] == row["true"] for row in read(predictions)]
        size = size_of(network(Genotype.from_json(genotype.read_text())), (SIZE, SIZE))
        return {
            "seconds": round(seconds),
            "validation": round(
                max(float(row["val_accuracy"]) for row in read(run / "log.csv")), 4
            ),
            "accuracy": round(sum(right) / len(right), 4),
            **size,
        }

    def genotype(self, tables: Path) -> Genotype:
        """The published cells, random ones within the limit, or that of a search."""
        if self.kind in PUBLISHED:
            return PUBLISHED[self.kind]
        if self.kind == "random":
            space = SearchSpace(limits=Limits(max_mult_adds=MAX_MULT_ADDS))
            searcher = RandomSearcher(space, self.seed)
            drawn = [searcher.ask(str(number)) for number in range(NUM_RANDOM)]
            return space.decode(drawn[int(self.cell.removeprefix("random-"))])
        seed = int(self.cell.removeprefix(f"{self.kind}-"))
        return Genotype.from_dict(
            json.loads(row_of(tables, Search(self.folder, self.kind, seed))["genotype"])
        )


def units(folder: Path, first_search: int, first_seed: int) -> Iterator[Search | Training]:
    """All units of work, in order."""
    seeds = range(first_search, first_search + NUM_SEARCHES)
    yield from (Search(folder, method, seed) for seed in seeds for method in SEARCHES)
    trained = range(first_seed, first_seed + NUM_TRAININGS)
    for seed in trained:
        for search in seeds:
            for method in SEARCHES:
                yield Training(folder, method, f"{method}-{search}", seed)
        yield from (Training(folder, name, name, seed) for name in PUBLISHED)
    for number in range(NUM_RANDOM):
        yield Training(folder, "random", f"random-{number}", first_seed)


def run(options: argparse.Namespace) -> None:
    end = time.monotonic() + 3600 * options.hours
    first = (DEVELOPMENT, DEVELOPMENT) if options.development else (FIRST_SEARCH, 0)
    data = deal_out(options.data, options.folder / "data")
    test = data / "development" if options.development else options.data / "test"
    tables = options.folder if options.development else TABLES
    for unit in units(options.folder, *first):
        if options.only and str(unit) not in options.only:
            continue
        if row_of(tables, unit) is not None:
            continue
        if time.monotonic() > end:
            break
        try:
            result = unit.run(data, test, tables)
        except (subprocess.CalledProcessError, OSError) as error:  # others go on
            print(f"{unit}: {error}", file=sys.stderr, flush=True)
            continue
        add_row(tables / unit.table, unit.key | {"commit": commit()} | result)
        print(f"{unit}: {result.get('accuracy', result.get('reward')):.4f}", flush=True)


def row_of(tables: Path, unit: Search | Training) -> dict[str, str] | None:
    """What was found by a unit that is done."""
    rows = (row for row in read(tables / unit.table) if unit.key.items() <= row.items())
    return next(rows, None)


def deal_out(data: Path, folder: Path) -> Path:
    """Links to the training images by `SHARES`, each class by chance."""
    if folder.exists():
        return folder
    beside = folder.with_name(f"{folder.name}.part")
    for images in sorted(path for path in (data / "train").iterdir() if path.is_dir()):
        files = sorted(images.iterdir())
        order = np.random.default_rng(0).permutation(len(files))
        ends = np.cumsum([share * len(files) for share in SHARES.values()]).round().astype(int)
        for part, indices in zip(SHARES, np.split(order, ends[:-1]), strict=True):
            place = beside / part / images.name
            place.mkdir(parents=True, exist_ok=True)
            for index in indices:
                link = place / files[index].name
                if not link.is_symlink():
                    link.symlink_to(files[index].resolve())
    beside.rename(folder)
    return folder


def commit() -> str:
    """The last one that changed what is measured."""
    here = Path(__file__)
    command = ["git", "log", "-1", "--format=%h", "--", here, here.parents[1] / "keras_nasnet"]
    return subprocess.check_output(command, cwd=here.parent, text=True).strip()


def read(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def add_row(path: Path, row: dict[str, object]) -> None:
    is_new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS[path.name].split())
        if is_new:
            writer.writeheader()
        writer.writerow(row)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", required=True, type=Path, help="folder with images in train and test"
    )
    parser.add_argument("--folder", required=True, type=Path)
    parser.add_argument("--development", action="store_true", help="no test images, other seeds")
    parser.add_argument(
        "--hours", type=float, default=float("inf"), help="after which no unit is started"
    )
    parser.add_argument("--only", nargs="+", metavar="UNIT", help='such as a-0 "a-0 with seed 1"')
    run(parser.parse_args())


if __name__ == "__main__":
    main()
