"""How far our outputs are from others', as a share of the reference's range.

Against keras.applications: the published networks with the same random weights, batch 3. Against
the float64 NumPy cells of `tests/support/reference.py`. One weight file at several sizes. Fusion.

    KERAS_BACKEND=tensorflow python benchmarks/agreement.py
"""

import random
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np

import keras_nasnet

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support import reference
from support.networks import images, randomize, relative_difference, weights_of

from keras_nasnet.cells.catalog import GENOTYPES
from keras_nasnet.cells.genotype import COMBINERS
from keras_nasnet.cells.layout import output_width

NATIVE = {"NASNetMobile": 224, "NASNetLarge": 331}


def beside_keras_applications(path: Path) -> None:
    for name, native in NATIVE.items():
        for include_top, size in ((True, (native, native)), (False, (97, 65)), (False, (201, 333))):
            options = {"input_shape": (*size, 3), "include_top": include_top}
            options["classifier_activation"] = None
            theirs = getattr(keras.applications, name)(weights=None, **options)
            randomize(theirs).save_weights(path)
            ours = getattr(keras_nasnet, name)(weights=path, pool_padding="zeros", **options)
            x = images(3, *size, 3)
            wanted = theirs.predict(x, batch_size=3, verbose=0)
            difference = relative_difference(ours.predict(x, batch_size=3, verbose=0), wanted)
            top = "with top" if include_top else "without top"
            print(f"{name} {top} {size[0]} x {size[1]}: {difference:.1e}", flush=True)
            keras.utils.clear_session()


def beside_numpy() -> None:
    cells = {
        1: ("normal", keras_nasnet.NASNET_A.normal, reference.normal_cell),
        2: ("reduction", keras_nasnet.NASNET_A.reduction, reference.reduction_cell),
    }
    for strides, (name, spec, cell) in cells.items():
        for size in ((32, 32), (33, 47), (56, 41)):
            layer = keras_nasnet.Cell(spec, 44, strides)
            current, previous = images(2, *size, 88), images(2, *size, 264, seed=1)
            layer([current, previous])
            weights = reference.Weights.of(randomize(layer))
            wanted = cell(current.astype("float64"), previous.astype("float64"), weights, 1e-3)
            difference = relative_difference(layer([current, previous], training=False), wanted)
            print(f"{name} cell {size[0]} x {size[1]}, NumPy: {difference:.1e}", flush=True)


def one_file_at_every_size(path: Path) -> None:
    randomize(keras_nasnet.NASNetMobile(weights=None)).save_weights(path)
    dynamic = keras_nasnet.NASNetMobile((None, None, 3), weights=path)
    values = weights_of(dynamic)
    for size in ((224, 224), (331, 331), (97, 65)):
        static = keras_nasnet.NASNetMobile((*size, 3), weights=path)
        same = all(map(np.array_equal, values, weights_of(static)))
        x = images(2, *size, 3)
        difference = np.abs(dynamic.predict(x, verbose=0) - static.predict(x, verbose=0)).max()
        print(
            f"NASNetMobile {size[0]} x {size[1]}: variables as at (None, None, 3): {same}, "
            f"largest difference of outputs {difference:.1e}",
            flush=True,
        )


def fused_networks(count: int) -> None:
    """The catalogue's genotypes and random ones, with statistics that are not 0 and 1."""
    space = keras_nasnet.search.SearchSpace(combiners=tuple(COMBINERS))
    rng = random.Random(0)
    genotypes = list(GENOTYPES.values())
    genotypes += [space.decode([rng.randrange(n) for _, n in space]) for _ in range(count)]
    greatest = {"float32": 0.0, "bfloat16": 0.0}
    for genotype in genotypes:
        model = keras_nasnet.NASNet(
            genotype,
            1,
            16 * output_width(genotype.normal),
            stem="cifar",
            input_shape=(32, 32, 3),
            classifier_activation=None,
        )
        x = images(2, 32, 32, 3)
        wanted = keras.ops.convert_to_numpy(randomize(model)(x, training=False))
        for precision in greatest:
            difference = relative_difference(keras_nasnet.fuse(model, precision)(x), wanted)
            greatest[precision] = max(greatest[precision], float(difference))
        keras.utils.clear_session()
    print(f"fused, the catalogue and {count} random genotypes: {greatest}", flush=True)


if __name__ == "__main__":
    print(f"Keras {keras.__version__} on {keras.config.backend()}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.weights.h5"
        if keras.config.backend() != "torch":  # keras.applications refuses Mobile there
            beside_keras_applications(path)
        beside_numpy()
        one_file_at_every_size(path)
    fused_networks(50)
