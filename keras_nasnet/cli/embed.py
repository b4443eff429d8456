"""`keras-nasnet embed`."""

import argparse
import sys
from pathlib import Path

import numpy as np

from keras_nasnet.atomic import check_place, replace_file
from keras_nasnet.cli.arguments import Commands, choose_backend, command, size
from keras_nasnet.optional import import_optional
from keras_nasnet.terminal import track
from keras_nasnet.training.job import model_file

FORMATS = (".npy", ".parquet")


def add(commands: Commands) -> None:
    parser = command(
        commands,
        "embed",
        run,
        "write a feature vector for each image",
        "keras-nasnet embed photos/*.jpg --out features.parquet",
    )
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="an image file")
    parser.add_argument(
        "--out",
        required=True,
        metavar="FILE",
        help=f"{' or '.join(FORMATS)} file to write: float32, one row per image in order, NaN "
        "if it cannot be read; .parquet also has the file names",
    )
    parser.add_argument(
        "--model",
        default="NASNetMobile",
        metavar="MODEL",
        help="as for predict; default: %(default)s with ImageNet weights",
    )
    parser.add_argument("--input-size", type=size, metavar="N", help="resize to N or HEIGHTxWIDTH")


def run(options: argparse.Namespace) -> int:
    out = Path(options.out)
    if out.suffix not in FORMATS:
        raise ValueError(f"--out: wanted a file ending in {' or '.join(FORMATS)}, got {out}")
    check_place(out)
    if out.suffix == ".parquet":
        import_optional("pyarrow.parquet", "data")
    model_file(options.model)
    choose_backend()
    from keras_nasnet.data.image import UnreadableImageError
    from keras_nasnet.inference.classifier import Classifier

    classifier = Classifier.load(options.model, options.input_size)
    features = classifier.features(options.images)
    rows = [row for _, row in track(features, "embedding", len(options.images))]
    errors = [row for row in rows if isinstance(row, UnreadableImageError)]
    vectors = [row for row in rows if not isinstance(row, UnreadableImageError)]
    for error in errors:
        print(f"keras-nasnet: {error}", file=sys.stderr)
    if not vectors:
        raise ValueError("no image could be read; nothing was written")
    missing = np.full_like(vectors[0], np.nan)
    array = np.stack([missing if isinstance(row, UnreadableImageError) else row for row in rows])
    replace_file(out, lambda beside: _write(beside, options.images, array))
    print(f"{out}: {len(vectors)} images, {array.shape[1]} features each")
    return 1 if errors else 0


def _write(path: Path, images: list[str], array: np.ndarray) -> None:
    if path.suffix == ".npy":
        np.save(path, array)
        return
    pyarrow = import_optional("pyarrow", "data")
    features = pyarrow.FixedSizeListArray.from_arrays(array.ravel(), array.shape[1])
    table = pyarrow.table({"image": images, "features": features})
    import_optional("pyarrow.parquet", "data").write_table(table, path)
