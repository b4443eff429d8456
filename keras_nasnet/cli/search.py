"""`keras-nasnet search`."""

import argparse
import json
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_nasnet.atomic import NotWrittenError, replace_text
from keras_nasnet.check import check_integers, check_keys, check_member, read_json, shown, within
from keras_nasnet.cli.arguments import (
    Commands,
    choose_backend,
    command,
    recipe_of,
    run_folder,
)
from keras_nasnet.cli.search_arguments import MODEL, TLS, add_arguments
from keras_nasnet.cli.search_plan import planned, space_of
from keras_nasnet.data.source import check_data
from keras_nasnet.lock import locked
from keras_nasnet.search.attempt import ExecutorError
from keras_nasnet.search.cluster import check_cluster, cluster
from keras_nasnet.search.local import MAX_WORKERS
from keras_nasnet.terminal import console
from keras_nasnet.training.job import MAX_SEED

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from keras_nasnet.search import NASNetTuner

SETTINGS = "search.json"
MAX_JSON = 1_000_000  # characters
LIMITS = ("trials", "seconds", "finalists", "finalist_epochs")  # may change on resuming
NEW = {"images": None, "rungs": 1, "factor": 3, "for": MODEL, "max_mult_adds": None}
NEW |= {"max_parameters": None, "plan": None}  # not in searches of 0.1
# Where it runs, which does not affect what it finds.
PLACES = ("workers", "scheduler", "scheduler_file", *TLS)


def add(commands: Commands) -> None:
    parser = command(
        commands,
        "search",
        run,
        "search for cells by training many small networks",
        "keras-nasnet search --data photos/ --minutes 60 --out run\n"
        "  keras-nasnet search --data photos/ --minutes 60 --out run --dry-run\n"
        "  keras-nasnet search --data photos/ --trials 200 --out run\n"
        "  keras-nasnet search --resume run --trials 300\n"
        "  keras-nasnet train --data photos/ --genotype run/best.json --num-cells 6 --out larger",
    )
    add_arguments(parser)


def run(options: argparse.Namespace) -> int:
    folder = run_folder(options, (*LIMITS, *PLACES))
    place = _place(options)
    if options.dry_run:
        if options.resume or options.seconds is None:
            raise ValueError("--dry-run: prints the plan of a new search for --minutes")
        settings = _settings(options, folder)
        choose_backend()
        with place as executor:
            planned(settings, options.workers, executor)
        return 0
    with locked(folder):
        settings = _settings(options, folder)
        choose_backend()
        with place as executor:  # a scheduler that does not answer is an error before any work
            if options.resume is None:
                settings = planned(settings, options.workers, executor)
            return _search(_tuner(settings, folder), settings, options.workers, executor)


def _place(options: argparse.Namespace) -> AbstractContextManager["Executor | None"]:
    """The executor of a cluster, once entered; None where there is none."""
    if options.workers is not None:
        check_integers(1, MAX_WORKERS, workers=options.workers)
    tls = {name: getattr(options, name) for name in TLS}
    if options.scheduler is None and options.scheduler_file is None and not any(tls.values()):
        return nullcontext()
    check_cluster(options.scheduler, options.scheduler_file, *tls.values())
    return cluster(options.scheduler, scheduler_file=options.scheduler_file, **tls)


def _settings(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The settings of the search, from the command line or from the search that is resumed."""
    others = ("out", "resume", "run", "parser", "dry_run", *PLACES)
    settings = {name: value for name, value in vars(options).items() if name not in others}
    settings["plan"] = None
    if options.resume:
        limits = {name: settings[name] for name in LIMITS if settings[name] is not None}
        before = NEW | _settings_of(folder, list(settings))
        settings = before | limits
        if before["plan"] and "seconds" in limits:
            more = limits["seconds"] - before["seconds"]
            settings["plan"] = before["plan"] | {"search_s": before["plan"]["search_s"] + more}
    if settings["data"] is None:
        raise ValueError("--data: required, names the images to train on")
    check_data(settings["data"])
    if settings["trials"] is None and settings["seconds"] is None:
        raise ValueError("--minutes, --trials: at least one is required")
    counts = {name: settings[name] for name in ("finalists", "finalist_epochs")}
    check_integers(1, **{name: count for name, count in counts.items() if count is not None})
    check_integers(0, MAX_SEED, seed=settings["seed"])
    from keras_nasnet.search import SEARCHERS  # needs SciPy, unlike the other commands

    check_member("searcher", settings["searcher"], SEARCHERS)
    space_of(settings)
    return settings


def _tuner(settings: dict[str, Any], folder: Path) -> "NASNetTuner":
    recipe = recipe_of(settings["recipe"], settings["set"])
    from keras_nasnet.data.source import open_data
    from keras_nasnet.search import NASNetTuner

    open_data(settings["data"], settings["seed"])  # reports mistakes before any work
    plan = settings["plan"]
    tuner = NASNetTuner(
        space_of(settings),
        settings["searcher"],
        max_trials=settings["trials"],
        max_seconds=plan["search_s"] if plan else settings["seconds"],
        num_cells=settings["num_cells"],
        filters=settings["filters"],
        recipe=recipe,
        size=settings["input_size"],
        rungs=settings["rungs"],
        factor=settings["factor"],
        directory=folder.parent,
        project_name=folder.name,
        seed=settings["seed"],
    )
    tuner.plan = plan
    replace_text(folder / SETTINGS, json.dumps(settings, indent=2))
    return tuner


def _search(
    tuner: "NASNetTuner",
    settings: dict[str, Any],
    num_workers: int | None,
    executor: "Executor | None",
) -> int:
    from keras_nasnet.search.child import ChildFailedError
    from keras_nasnet.search.record import BEST
    from keras_nasnet.search.report import REPORT

    folder, data = Path(tuner.project_dir), settings["data"]
    plan = settings["plan"]
    if num_workers is None and executor is None and plan:
        num_workers = plan["num_workers"]
    places: Any = {"num_workers": num_workers, "executor": executor}
    go_on = f"To resume once it can be: keras-nasnet search --resume {folder}"
    try:
        tuner.search(data, **places)
        trials = [tuner.oracle.trials[key] for key in tuner.oracle.end_order]
        if all(trial.score is None for trial in trials):
            return _failed(f"no trial succeeded{_last_reason(tuner, trials)}")
        if settings["finalists"]:
            tuner.train_finalists(
                data, settings["finalists"], settings["finalist_epochs"], **places
            )
        if plan:
            _train_best(tuner, data, plan["final"], executor)
    except (NotWrittenError, ExecutorError) as error:
        return _failed(f"{error}\n{go_on}")
    except KeyboardInterrupt:
        console.print(f"\nstopped; to resume: keras-nasnet search --resume {folder}")
        return 130
    except ChildFailedError as error:  # a finalist, or the best cell's network
        return _failed(str(error))
    tuner.results_summary()
    console.print(f"{folder / REPORT} reports the search, {folder / BEST} has the best cells")
    return 0


def _train_best(
    tuner: "NASNetTuner", data: str, final: dict[str, Any], executor: "Executor | None"
) -> None:
    from keras_nasnet.search.finalists import BEST_RUN
    from keras_nasnet.search.scale import Scale

    scale = Scale(**final | {name: tuple(final[name]) for name in ("size", "augmentation")})
    console.print(f"a network of the best cell: {scale}, {scale.epochs} epochs ...")
    accuracy = tuner.train_best(data, scale, executor=executor)
    folder = Path(tuner.project_dir) / BEST_RUN
    console.print(f"{folder} has it: validation accuracy {accuracy:.2%}")


def _last_reason(tuner: "NASNetTuner", trials: list[Any]) -> str:
    from keras_nasnet.search.progress import reason_of
    from keras_nasnet.search.record import ERROR

    if not trials:
        return ": the time limit passed before one ran"
    file = Path(tuner.get_trial_dir(trials[-1].trial_id)) / ERROR
    return f"; the last one: {reason_of(trials[-1].message)} (traceback in {file})"


def _failed(what: str) -> int:
    print(f"keras-nasnet: {what}", file=sys.stderr)
    return 1


def _settings_of(folder: Path, names: list[str]) -> dict[str, Any]:
    """The settings of an existing search, with checks for those that nothing checks later."""
    with within(str(folder / SETTINGS)):
        try:
            settings = read_json(folder / SETTINGS, MAX_JSON)
        except OSError as error:
            raise ValueError(f"{folder} is not a search folder: {error}") from None
        check_keys("a search", settings, [name for name in names if name not in NEW], NEW)
        for name in ("data", "searcher", "recipe"):
            if not isinstance(settings[name], str):
                raise ValueError(f"{name}: wanted a string, got {shown(settings[name])}")
        changes = settings["set"]
        if not isinstance(changes, list) or not all(isinstance(text, str) for text in changes):
            raise ValueError(f"set: wanted a list of strings, got {shown(changes)}")
    return settings
