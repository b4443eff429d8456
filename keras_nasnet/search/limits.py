"""What the network that a cell is meant for may cost."""

from dataclasses import dataclass, replace
from functools import lru_cache

from keras_nasnet.cells.catalog import MODELS
from keras_nasnet.cells.config import NASNetConfig
from keras_nasnet.cells.genotype import Genotype
from keras_nasnet.cells.layout import output_width
from keras_nasnet.cells.summary import summarize
from keras_nasnet.check import check_integers, check_member


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on a published network with other cells: as many of them, with as many filters.

    Args:
        model: str from `list_models()`. Default `"NASNetMobile"`, the paper's mobile setting.
        max_mult_adds: int >= 1, multiply-adds at the network's published image size; None
            (default) for no limit. The paper's for mobile devices is 600 million.
        max_parameters: int >= 1, or None (default) for no limit.

    Raises:
        ValueError: if the model is not known or a number is below 1.

    Reference:
        Zoph et al. 2018, section 4.2 and table 3.
    """

    model: str = "NASNetMobile"
    max_mult_adds: int | None = None
    max_parameters: int | None = None

    def __post_init__(self) -> None:
        check_member("model", self.model, MODELS)
        for name, most in self._given().items():
            check_integers(1, **{name: most})

    def _given(self) -> dict[str, int]:
        limits = {"max_mult_adds": self.max_mult_adds, "max_parameters": self.max_parameters}
        return {name: most for name, most in limits.items() if most is not None}

    def __bool__(self) -> bool:
        return bool(self._given())

    def network(self, genotype: Genotype) -> NASNetConfig:
        """The published network with these cells."""
        model = MODELS[self.model]
        width = 4 * output_width(genotype.normal)
        return replace(model, genotype=genotype, penultimate_filters=model.filters * width)

    def size_of(self, genotype: Genotype) -> dict[str, int]:
        """`parameters` and `mult_adds` of that network."""
        return size_of(self.network(genotype))

    def allow(self, genotype: Genotype) -> bool:
        """Whether that network is within the limits."""
        if not self:
            return True
        size = self.size_of(genotype)
        return all(size[name.removeprefix("max_")] <= most for name, most in self._given().items())


@lru_cache(maxsize=10_000)
def size_of(config: NASNetConfig, input_size: tuple[int, int] | None = None) -> dict[str, int]:
    """`parameters` and `mult_adds` of a network, by default at its published image size."""
    rows = summarize(config, input_size)
    return {
        "parameters": sum(row.params for row in rows),
        "mult_adds": sum(row.mult_adds for row in rows),
    }
