"""How large children are, and how long they train."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from keras_nasnet.cells.catalog import network_of
from keras_nasnet.cells.config import NASNetConfig
from keras_nasnet.cells.genotype import Genotype
from keras_nasnet.cells.layout import output_width
from keras_nasnet.check import check_integers
from keras_nasnet.tensor import Size
from keras_nasnet.training.job import Job
from keras_nasnet.training.recipes import Recipe

CROPPED_EPOCHS = 20  # as the paper's children; with nine, crops cost four points of accuracy
AVERAGED = 0.9  # in early rungs, averaged weights are ranked more as cells are at the end
NUM_RUNGS, FACTOR = 3, 3
LEAST_EPOCHS = FACTOR ** (NUM_RUNGS - 1)  # one to the first rung

# Settings of a recipe that a scale has too.
OF_RECIPE = ("epochs", "batch_size", "augmentation", "ema_momentum")


@dataclass(frozen=True, slots=True)
class Scale:
    """How large a child is, and how long it trains.

    Args:
        size: `(height, width)` of its images.
        num_cells: int, normal cells in each stage.
        filters: int, of the first stage.
        num_images: int, of an epoch; the next one goes on with those that have not been seen.
        batch_size: int.
        epochs: int, to the last rung.
        augmentation, ema_momentum: as in `Recipe`.
    """

    size: Size
    num_cells: int
    filters: int
    num_images: int
    batch_size: int
    epochs: int
    augmentation: tuple[str, ...]
    ema_momentum: float = AVERAGED

    def config(self, genotype: Genotype) -> NASNetConfig:
        """The child of a genotype."""
        filters = 4 * self.filters * output_width(genotype.normal)
        return network_of(genotype, "cifar", num_cells=self.num_cells, penultimate_filters=filters)

    @property
    def of_recipe(self) -> dict[str, Any]:
        """What it chooses of a recipe, by name."""
        steps = max(1, self.num_images // self.batch_size)
        return {name: getattr(self, name) for name in OF_RECIPE} | {"steps_per_epoch": steps}

    def job(self, genotype: Genotype, settings: Recipe, data: str, seed: int) -> Job:
        """The training of that child."""
        settings = replace(settings, **self.of_recipe)
        return Job(self.config(genotype), settings, data, self.size, seed)

    def __str__(self) -> str:
        height, width = self.size
        cells = "1 cell" if self.num_cells == 1 else f"{self.num_cells} cells"
        return f"{height} x {width} pixels, {cells} a stage, {self.filters} filters"


# Our choice: the first ranks cells in seconds (benchmarks/results/search.md), the last is the
# paper's child (appendix A). Steps are those to the last rung; the epochs follow from the images.
_SCALES = (
    {"pixels": 16, "num_cells": 1, "filters": 8, "num_images": 6_000, "steps": 840},
    {"pixels": 32, "num_cells": 1, "filters": 16, "num_images": 12_000, "steps": 1_680},
    {"pixels": 32, "num_cells": 2, "filters": 32, "num_images": 45_000, "steps": 7_000},
)
BATCH_SIZE = 64
CHILD_SIDE = 128  # pixels: of photographs, what children look at at most


def scales(
    num_images: int, side: int, augmentation: tuple[str, ...], given: Mapping[str, Any]
) -> list[Scale]:
    """Sizes of children to choose from, the smallest first.

    Args:
        num_images: int, how many there are to train on.
        side: int, the images' shorter side in pixels.
        augmentation: as in `Recipe`, for a long training.
        given: values of `Scale`'s arguments that are not to be chosen.

    Raises:
        ValueError: if one of them is below 1.
    """
    others = {"size", "augmentation", "ema_momentum"}
    check_integers(1, **{name: given[name] for name in given.keys() - others})
    found = []
    for each in _SCALES:
        pixels = each["pixels"] * max(1, side // 32)
        images = min(num_images, given.get("num_images", each["num_images"]))
        batch_size = given.get("batch_size", min(BATCH_SIZE, max(8, images // 8)))
        epochs = max(LEAST_EPOCHS, round(each["steps"] / max(1, images // batch_size)))
        epochs = given.get("epochs", epochs)
        scale = Scale(
            size=(pixels, pixels),
            num_cells=each["num_cells"],
            filters=each["filters"],
            num_images=images,
            batch_size=batch_size,
            epochs=epochs,
            augmentation=suited(augmentation, epochs),
        )
        found.append(replace(scale, **{**given, "num_images": images}))
    return list(dict.fromkeys(found))


def suited(augmentation: tuple[str, ...], epochs: int) -> tuple[str, ...]:
    """Without crops where few epochs leave no time to learn from them."""
    return tuple(each for each in augmentation if each != "pad_crop" or epochs >= CROPPED_EPOCHS)
