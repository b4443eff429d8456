"""`keras-nasnet search`."""

import json
from pathlib import Path

from keras_nasnet.atomic import replace_text
from keras_nasnet.cli.arguments import (
    add_set,
    choose_backend,
    command,
    console,
    recipe_of,
    run_folder,
    size,
)
from keras_nasnet.search import SEARCHERS, SearchSpace

SETTINGS = "search.json"
LIMITS = ("trials", "seconds")  # which may change when a search goes on


def add(commands):
    parser = command(
        commands,
        "search",
        run,
        "search for the cells of a network, by training many small ones",
        "keras-nasnet search --data photos/ --trials 200 --out run\n"
        "  keras-nasnet search --resume run --trials 300\n"
        "  keras-nasnet train --data photos/ --model run/best.json --num-cells 6 --out larger",
    )
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--out", metavar="RUN", help="folder to write, not there yet")
    place.add_argument("--resume", metavar="RUN", help="folder of a search to go on with")
    parser.add_argument(
        "--data", metavar="DATA", help="as for train; a tenth of its training images is held out"
    )
    parser.add_argument("--trials", type=int, metavar="N", help="networks to train in all")
    parser.add_argument("--seconds", type=float, metavar="S", help="to begin no more trials after")
    parser.add_argument(
        "--searcher", choices=SEARCHERS, default="controller", help="default: %(default)s"
    )
    for name, default, what in (
        ("blocks", 5, "in each cell"),
        ("num-cells", 2, "normal cells in each of the three stages of a child"),
        ("filters", 32, "of the first stage of a child"),
        ("seed", 0, "of everything"),
    ):
        parser.add_argument(
            f"--{name}", type=int, default=default, metavar="N", help=f"{what}; default: {default}"
        )
    parser.add_argument(
        "--input-size",
        type=size,
        default=(32, 32),
        metavar="N",
        help="N or HEIGHTxWIDTH; default: 32",
    )
    parser.add_argument(
        "--recipe", default="search-child", metavar="NAME", help="default: %(default)s"
    )
    add_set(parser)


def run(options) -> int:
    folder = run_folder(options, LIMITS)
    names = [name for name in vars(options) if name not in ("out", "resume", "run", "parser")]
    settings = {name: getattr(options, name) for name in names}
    if options.resume:
        limits = {name: settings[name] for name in LIMITS if settings[name] is not None}
        settings = _settings_of(folder) | limits
    if settings["data"] is None:
        raise ValueError("--data: say what to train on")
    if settings["trials"] is None and settings["seconds"] is None:
        raise ValueError("--trials, --seconds: say when to stop")
    recipe = recipe_of(settings["recipe"], settings["set"])
    space = SearchSpace(settings["blocks"])
    choose_backend()
    from keras_nasnet.data import open_data
    from keras_nasnet.search import NASNetTuner

    open_data(settings["data"], settings["seed"])  # so that mistakes are told now
    tuner = NASNetTuner(
        space,
        settings["searcher"],
        max_trials=settings["trials"],
        max_seconds=settings["seconds"],
        num_cells=settings["num_cells"],
        filters=settings["filters"],
        recipe=recipe,
        size=settings["input_size"],
        directory=folder.parent,
        project_name=folder.name,
        seed=settings["seed"],
    )
    replace_text(folder / SETTINGS, json.dumps(settings, indent=2))
    try:
        tuner.search(settings["data"])
    except KeyboardInterrupt:
        console.print(f"\nstopped; to go on: keras-nasnet search --resume {folder}")
        return 130
    tuner.results_summary()
    return 0


def _settings_of(folder: Path) -> dict:
    """The settings of a search that is there."""
    try:
        return json.loads((folder / SETTINGS).read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder} is no folder of a search: {error}") from None
