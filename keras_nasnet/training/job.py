"""What a run trains, and `config.json`, the file in its folder that records it."""

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from os import PathLike
from pathlib import Path
from typing import Any

from keras_nasnet.cells.catalog import MODELS
from keras_nasnet.cells.config import MAX_INPUT_SIZE, NASNetConfig
from keras_nasnet.cells.genotype import Genotype
from keras_nasnet.check import (
    check_integers,
    check_keys,
    check_size,
    cut,
    did_you_mean,
    is_number,
    read_json,
    shown,
    within,
)
from keras_nasnet.training.recipes import Recipe

CONFIG, MODEL = "config.json", "model.keras"
MAX_JSON = 50_000_000  # characters: the largest number of classes, with names of 200 characters
MAX_SEED = 2**32 - 1  # NumPy's
OF_DATA = ("class_names", "normalization")  # stored in the file in addition to a job
OF_FINETUNING = (
    "choices",
    "linear",
)  # not in files of version 0.1, nor without a linear classifier


@dataclass(frozen=True, slots=True)
class Job:
    """What is trained, on what data, and how: everything a run needs to resume.

    Args:
        config: `NASNetConfig`.
        recipe: `Recipe`.
        data: str for `open_data`, or a name for other data.
        size: `(height, width)` of the images.
        seed: int from 0 to 2^32 - 1, of the weights, the order and the augmentation.
        weights: as in `NASNet`, to start from.
        devices: int >= 1, number of devices to split batches across.
        choices: dict from settings of the recipe that were chosen from the data to the reasons.

    Raises:
        ValueError: if a value is out of range or has the wrong type.
    """

    config: NASNetConfig
    recipe: Recipe
    data: str
    size: tuple[int, int]
    seed: int = 0
    weights: str | None = None
    devices: int = 1
    choices: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_size(self.size, self.config.min_input_size, MAX_INPUT_SIZE)
        check_integers(0, MAX_SEED, seed=self.seed)
        check_integers(1, devices=self.devices)
        if not isinstance(self.data, str):
            raise ValueError(f"data: wanted a string, got {shown(self.data)}")
        if not isinstance(self.weights, str | None):
            raise ValueError(f"weights: wanted None or a string, got {shown(self.weights)}")
        if not isinstance(self.choices, dict) or not _are(str, [*self.choices.values()]):
            raise ValueError(f"choices: wanted an object of strings, got {shown(self.choices)}")

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        values = {name: getattr(self, name) for name in self.__slots__}
        config = {name: getattr(self.config, name) for name in self.config.__slots__}
        config["genotype"] = self.config.genotype.to_dict()
        return values | {"config": config, "recipe": asdict(self.recipe)}

    @classmethod
    def from_dict(cls, values: Any) -> "Job":
        """The inverse of `to_dict`.

        Raises:
            ValueError: if a value is missing, unknown, out of range or has the wrong type.
        """
        check_keys("a run", values, REQUIRED, ["choices"])
        with within("config"):
            config = _fields(NASNetConfig, values["config"])
            network = NASNetConfig(**config | {"genotype": Genotype.from_dict(config["genotype"])})
        with within("recipe"):
            settings = _fields(Recipe, values["recipe"])
            recipe = Recipe(**settings | {"augmentation": _tuple(settings["augmentation"])})
        changed = {"config": network, "recipe": recipe, "size": _tuple(values["size"])}
        return cls(**values | changed)

    @classmethod
    def of_run(cls, run: Path) -> "Job":
        """The job of a run folder.

        Raises:
            ValueError: if it is not a run folder, or its `config.json` is invalid.
        """
        config = read_config(run, (*REQUIRED, *OF_DATA))
        with within(str(run / CONFIG)):
            return cls.from_dict({key: config[key] for key in cls.__slots__ if key in config})


REQUIRED = [name for name in Job.__slots__ if name != "choices"]


def read_config(run: Path, required: Iterable[str] = ()) -> dict[str, Any]:
    """The contents of a run folder's `config.json`: the job, unchecked, and the data.

    Args:
        run: path of the folder.
        required: the keys that must be present.

    Raises:
        ValueError: if it is not a run folder, a key is missing or unknown, or what the file says
            about the data is invalid.
    """
    path = run / CONFIG
    with within(str(path)):
        try:
            config: dict[str, Any] = read_json(path, MAX_JSON)
        except OSError as error:
            raise ValueError(f"{run} is not a run folder: {error}") from None
        allowed = (*REQUIRED, *OF_DATA, *OF_FINETUNING)
        check_keys("a run", config, required, [key for key in allowed if key not in required])
        names, normalization = config.get("class_names"), config.get("normalization")
        if "class_names" in config and not _are(str, names):
            raise ValueError(f"class_names: wanted a list of strings, got {shown(names)}")
        if normalization is not None and not _is_normalization(normalization):
            raise ValueError(
                "normalization: wanted null, or two lists of 3 numbers, means and deviations "
                f"above 0; got {shown(normalization)}"
            )
        linear = config.get("linear")
        if linear is not None and not _is_validation(linear):
            raise ValueError(
                "linear: wanted an object of val_accuracy and val_loss, two numbers; "
                f"got {shown(linear)}"
            )
    return config


def model_file(source: str | PathLike[str]) -> Path | None:
    """The file of the model that a user names, or None for the name of a published network.

    Args:
        source: path of a run folder or a `.keras` file, or a name from `list_models()`.

    Raises:
        ValueError: if it is none of these.
    """
    if source in MODELS:
        return None
    path = Path(source)
    file = path / MODEL if path.is_dir() else path
    if not file.is_file():
        raise ValueError(
            f"{cut(str(source))} is not a run folder, a .keras file or a model; "
            f"{did_you_mean(source, MODELS)}models are {', '.join(MODELS)}"
        )
    return file


def check_minutes(minutes: Any) -> None:
    """Raises `ValueError` unless it is a number above 0."""
    if not is_number(minutes) or minutes <= 0:
        raise ValueError(f"minutes: wanted a number > 0, got {shown(minutes)}")


def is_run_file(model: Path) -> bool:
    """Whether a model file is next to a run's `config.json`: one with class names."""
    path = model.with_name(CONFIG)
    if not path.is_file():
        return False
    with within(str(path)):
        return "class_names" in read_json(path, MAX_JSON)


def run_of(source: Path) -> Path | None:
    """The run folder of a model, None for others.

    Args:
        source: path of the folder, or of a model file in it.
    """
    if source.is_dir():
        return source if (source / CONFIG).is_file() else None
    return source.parent if source.is_file() and is_run_file(source) else None


def _are(kind: type, values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, kind) for value in values)


def _is_normalization(value: Any) -> bool:
    if not _are(list, value) or [len(row) for row in value] != [3, 3]:
        return False
    return all(map(is_number, value[0] + value[1])) and min(value[1]) > 0


def _is_validation(value: Any) -> bool:
    names = {"val_accuracy", "val_loss"}
    return isinstance(value, dict) and {*value} == names and all(map(is_number, value.values()))


def _fields(kind: Any, values: Any) -> dict[str, Any]:
    """Arguments of a dataclass, with their names checked."""
    required = [field.name for field in fields(kind) if field.default is MISSING]
    optional = [field.name for field in fields(kind) if field.name not in required]
    check_keys("an object", values, required, optional)
    return dict(values)


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
