"""What `evidence.py` has found: means, spread, differences with their 95% intervals, a picture.

python benchmarks/evidence_table.py
"""

import argparse
from pathlib import Path

import numpy as np
from evidence import FIRST_SEARCH, PUBLISHED, SEARCHES, TABLES, TRAINED, read
from scipy import stats

from keras_nasnet.atomic import replace_file
from keras_nasnet.page import draw, svg

KINDS = {
    "a": f"(a) {SEARCHES['a']}",
    "b": f"(b) {SEARCHES['b']}",
    "random": "random cells",
    **{name: name for name in PUBLISHED},
    "first a": "(a) in the first round",
    "first b": "(b) in the first round",
}
PICTURE = Path(__file__).parents[1] / "docs" / "_static" / "evidence.svg"


def found(path):
    """Accuracies by kind and cell, a list with one for each seed."""
    accuracies = {kind: {} for kind in KINDS}
    for row in read(path):
        kind = row["kind"]
        if kind in SEARCHES and int(row["cell"].partition("-")[2]) < FIRST_SEARCH:
            kind = f"first {kind}"
        accuracies[kind].setdefault(row["cell"], []).append(float(row["accuracy"]))
    return {kind: cells for kind, cells in accuracies.items() if cells}


def means(cells):
    return np.array([np.mean(each) for each in cells.values()])


def print_means(accuracies):
    print(f"{'':36} cells  mean    best    deviation between cells, seeds")
    for kind, cells in accuracies.items():
        repeated = [np.var(each, ddof=1) for each in cells.values() if len(each) > 1]
        between = np.std(means(cells), ddof=1) if len(cells) > 1 else np.nan
        seeds = np.sqrt(np.mean(repeated)) if repeated else np.nan
        print(
            f"{KINDS[kind]:36} {len(cells):5}  {means(cells).mean():.4f}  {means(cells).max():.4f}"
            f"  {between:.4f}, {seeds:.4f}"
        )


def pairs(accuracies):
    """Mean accuracies of the cells that (a) and (b) found with the same seed."""
    one, other = (accuracies.get(kind, {}) for kind in SEARCHES)
    seeds = [cell.removeprefix("a-") for cell in one]
    return np.array(
        [
            (np.mean(one[f"a-{seed}"]), np.mean(other[f"b-{seed}"]))
            for seed in seeds
            if f"b-{seed}" in other
        ]
    ).reshape(-1, 2)


def print_differences(accuracies):
    searched, paired = means(accuracies["a"]), pairs(accuracies)
    differences = paired[:, 0] - paired[:, 1]
    tests = {"b": (differences, stats.ttest_1samp(differences, 0))}
    for kind, cells in accuracies.items():
        if kind == "random":
            test = stats.ttest_ind(searched, means(cells), equal_var=False)
            tests[kind] = searched - means(cells).mean(), test
        elif kind in PUBLISHED:
            differences = searched - means(cells).mean()
            tests[kind] = differences, stats.ttest_1samp(differences, 0)
    print("\n(a) less, with the 95% interval over the searches")
    for kind, (differences, test) in tests.items():
        low, high = test.confidence_interval(0.95)
        print(
            f"{KINDS[kind]:36} {differences.mean():+.4f} ({low:+.4f} to {high:+.4f}); "
            f"above in {(differences > 0).sum()} of {len(differences)}"
        )


def picture(figure, accuracies):
    axes = figure.subplots()
    places = {kind: -row for row, kind in enumerate(accuracies)}
    for number, pair in enumerate(pairs(accuracies)):
        label = None if number else "(a) and (b) with the same seed"
        axes.plot(pair, [places["a"], places["b"]], color="#888888", linewidth=1, label=label)
    for kind, cells in accuracies.items():
        each = np.concatenate(list(cells.values()))
        shown = kind == next(iter(accuracies))
        axes.plot(
            each, np.full(len(each), places[kind]), ".", color="#9db7d5",
            label="trainings" if shown else None,
        )  # fmt: skip
        axes.plot(
            means(cells), np.full(len(cells), places[kind]), "o", color="#2166ac", fillstyle="none",
            label="means of a cell" if shown else None,
        )  # fmt: skip
    axes.set_yticks(list(places.values()), [KINDS[kind] for kind in places])
    axes.set(xlabel="accuracy on the test images")
    axes.margins(y=0.1)
    axes.grid(alpha=0.3)
    axes.legend(loc="center right")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=TABLES, help=f"of {TRAINED}")
    parser.add_argument("--out", type=Path, default=PICTURE, help="of the picture, as SVG")
    options = parser.parse_args()
    accuracies = found(options.folder / TRAINED)
    print_means(accuracies)
    print_differences(accuracies)
    figure = svg(draw(picture, accuracies, size=(9, 4)))
    replace_file(options.out, lambda beside: beside.write_bytes(figure))


if __name__ == "__main__":
    main()
