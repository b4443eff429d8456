"""End to end: search for a cell on handwritten digits, train a larger network of it, use that.

    python examples/demo.py
    python examples/demo.py --quick    # one trial and one epoch, to see that all of it works here

Runs the commands that a user would type, and prints them.
"""

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path

from PIL import Image

from keras_nasnet import Genotype
from keras_nasnet.cells.layout import output_width
from keras_nasnet.data import open_data

FILTERS = 16  # in the larger network's first stage, twice a child's
FOLDER = Path("runs/demo")
WANTED = 0.97


def keras_nasnet(*arguments):
    """Runs a command line in a separate process."""
    print("\n$ keras-nasnet", *arguments, flush=True)
    subprocess.run([sys.executable, "-m", "keras_nasnet", *map(str, arguments)], check=True)


def write_images(folder: Path) -> list[Path]:
    """Writes one held-out digit of each class as a PNG file."""
    _, held_out = open_data("digits")
    folder.mkdir(parents=True)
    paths = []
    for label, name in enumerate(held_out.class_names):
        index = list(held_out.labels).index(label)
        paths.append(folder / f"{name}.png")
        Image.fromarray(held_out.items[index]).save(paths[-1])
    return paths


def best_accuracy(log: Path) -> float:
    """The best validation accuracy in a run's `log.csv`."""
    header, *rows = [line.split(",") for line in log.read_text().splitlines()]
    return max(float(row[header.index("val_accuracy")]) for row in rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one trial, one epoch, any accuracy")
    options = parser.parse_args()
    trials, child_epochs, epochs = (1, 1, 1) if options.quick else (24, 9, 6)

    start = time.monotonic()
    shutil.rmtree(FOLDER, ignore_errors=True)
    search, run = FOLDER / "search", FOLDER / "run"
    children = ["--blocks", "2", "--num-cells", "1", "--filters", "8", "--input-size", "16"]
    recipe = ["--set", "batch_size=32", "learning_rate=0.1", "augmentation="]
    keras_nasnet(
        *("search", "--data", "digits", "--trials", trials, *children, *recipe),
        *("ema_momentum=0.9", f"epochs={child_epochs}", "--out", search),
    )
    best = Genotype.from_json((search / "best.json").read_text())
    filters = 4 * FILTERS * output_width(best.normal)
    keras_nasnet(
        *("train", "--data", "digits", "--genotype", search / "best.json", "--stem", "cifar"),
        *("--num-cells", "1", "--penultimate-filters", filters, *recipe, f"epochs={epochs}"),
        *("--out", run),
    )
    keras_nasnet("predict", run, *write_images(FOLDER / "images"), "--top", "1")

    accuracy = best_accuracy(run / "log.csv")
    print(
        f"\n{accuracy:.2%} accuracy on held-out digits after {time.monotonic() - start:.0f} s. "
        f"The search report is {search / 'report.html'}; model, log and curves are in {run}, "
        f"the images in {FOLDER / 'images'}."
    )
    if accuracy < WANTED and not options.quick:
        print(f"That is below the expected {WANTED:.0%}.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
