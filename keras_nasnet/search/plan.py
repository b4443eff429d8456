"""From a number of minutes to a search: how large children are, and how many are tried."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import asdict, astuple, dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

import numpy as np

from keras_nasnet.cells.genotype import Genotype
from keras_nasnet.data.source import open_data
from keras_nasnet.search.attempt import Outcome
from keras_nasnet.search.child import HELD_OUT_SHARE, Child, ChildFailedError, Measuring
from keras_nasnet.search.limits import size_of
from keras_nasnet.search.local import default_workers
from keras_nasnet.search.progress import reason_of
from keras_nasnet.search.rungs import Rungs
from keras_nasnet.search.scale import (
    CHILD_SIDE,
    FACTOR,
    LEAST_EPOCHS,
    NUM_RUNGS,
    Scale,
    scales,
    suited,
)
from keras_nasnet.search.searchers import RandomSearcher
from keras_nasnet.search.space import SearchSpace
from keras_nasnet.search.trials import MAX_LOSSES, Attempts, attempts_on, room
from keras_nasnet.training.budget import Pace
from keras_nasnet.training.choices import median_side
from keras_nasnet.training.recipes import Recipe

FINAL_SHARE = 0.25  # of the time, to train a network of the best cell
MIN_CELLS = 50  # to choose among: with fewer, children are made smaller
LARGER = 4  # times the pixels or the multiply-adds from one scale to the next, at least
LEAST_CELLS = 9  # of which one reaches the third rung
MOST_CUT = 2  # that epochs are divided by; with still fewer steps the first rung ranks by chance
FINAL_EPOCHS = 8  # at least, or the final network is a smaller one
MOST_EPOCHS = 600  # Zoph et al. 2018, section 4.1
# Cells that are drawn, and those that are measured of them, by their place in multiply-adds. Steps
# of cells with equal multiply-adds differ by a factor of two.
NUM_DRAWN, MEASURED = 15, (3, 7, 11)


@dataclass(frozen=True, slots=True)
class Plan:
    """A search and the training of a network of its best cell, within a time.

    Args:
        scale: `Scale` of the children.
        rungs: `Rungs` of their training.
        pace: mean `Pace` of typical children.
        search_s: float, seconds for the search, from which on nothing new is started.
        num_workers: int, how many children train at once.
        final: `Scale` of the network that is trained at the end, alone, with all images.
    """

    scale: Scale
    rungs: Rungs
    pace: Pace
    search_s: float
    num_workers: int
    final: Scale

    @property
    def rung_s(self) -> list[float]:
        """Seconds that a child takes for each rung, in the mean."""
        return _rung_s(self.rungs, self.pace)

    @property
    def num_cells(self) -> list[int]:
        """About how many cells reach each rung."""
        return _num_cells(self.rungs, self.pace, self.search_s * self.num_workers)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, with what is expected."""
        return asdict(self) | {"rung_s": self.rung_s, "num_cells": self.num_cells}


def _rung_s(rungs: Rungs, pace: Pace) -> list[float]:
    epochs = np.diff([0, *rungs.epochs])
    return [float(pace.start_s + pace.epoch_s * each) for each in epochs]


def _num_cells(rungs: Rungs, pace: Pace, seconds: float) -> list[int]:
    shares = [rungs.factor**-rung for rung in range(len(rungs))]
    a_cell = sum(share * each for share, each in zip(shares, _rung_s(rungs, pace), strict=True))
    return [int(seconds / a_cell * share) for share in shares]


def make_plan(
    seconds: float,
    candidates: list[Scale],
    pace_of: Callable[[Scale], Pace],
    num_images: int,
    *,
    num_workers: int = 1,
    alone: Callable[[Scale], Pace] | None = None,
    num_rungs: int | None = None,
    factor: int = FACTOR,
    cuts_epochs: bool = True,
    augmentation: tuple[str, ...] | None = None,
) -> Plan:
    """The largest children of which enough can be tried, and the largest network after them.

    Args:
        seconds: float, from now on.
        candidates: list of `Scale`, the smallest first.
        pace_of: measures the mean `Pace` of typical children.
        num_images: int, to train the final network on.
        num_workers: int, as in `NASNetTuner.search`.
        alone: measures it where no other trains beside it; None (default): as `pace_of`.
        num_rungs: int; None (default) for as many as the epochs allow, up to 3.
        factor: as in `Rungs`.
        cuts_epochs: bool. Whether children train for fewer epochs, down to half of them, where too
            few could be tried.
        augmentation: as for `scales`, of fewer epochs and of the final network; None (default) for
            the children's.

    Raises:
        ValueError: if the time is too short for a search.
    """
    paces: dict[Scale, Pace] = {}
    search_s, final_s = (1 - FINAL_SHARE) * seconds, FINAL_SHARE * seconds

    def cells(scale: Scale, pace: Pace) -> int:
        """How many are tried."""
        return _num_cells(_rungs(scale, num_rungs, factor), pace, search_s * num_workers)[0]

    best = candidates[0]
    for scale in candidates:
        paces[scale] = pace_of(scale)
        if cells(scale, paces[scale]) >= MIN_CELLS:
            best = scale
        if cells(scale, paces[scale]) < LARGER * MIN_CELLS:
            break
    pace = paces[best]
    least_epochs = max(LEAST_EPOCHS, best.epochs // MOST_CUT) if cuts_epochs else best.epochs
    while best.epochs > least_epochs and cells(best, pace) < MIN_CELLS:
        best = _trained(best, best.epochs - 1, augmentation)
    rungs = _rungs(best, num_rungs, factor)
    if cells(best, pace) < LEAST_CELLS:
        least = seconds * LEAST_CELLS / max(1, cells(best, pace)) / 60
        raise ValueError(
            f"minutes: wanted about {least:.0f} or more, as a child takes "
            f"{sum(_rung_s(rungs, pace)):.0f} s here; got {seconds / 60:.3g}"
        )
    final_of = partial(_final, num_images=num_images, seconds=final_s, augmentation=augmentation)
    large_enough = [each for each in paces if final_of(each, paces[each]).epochs >= FINAL_EPOCHS]
    largest = (large_enough or candidates[:1])[-1]
    final = final_of(largest, alone(largest) if alone else paces[largest])
    return Plan(best, rungs, pace, search_s, num_workers, final)


def _rungs(scale: Scale, num_rungs: int | None, factor: int) -> Rungs:
    if num_rungs is None:
        num_rungs = Rungs.most(scale.epochs, factor, NUM_RUNGS)
    return Rungs.of(scale.epochs, num_rungs, factor)


def _final(
    scale: Scale,
    pace: Pace,
    num_images: int,
    seconds: float,
    augmentation: tuple[str, ...] | None,
) -> Scale:
    """The same network for all images, with as many epochs as the time allows."""
    epoch_s = pace.epoch_s * num_images / scale.num_images
    epochs = max(1, min(int((seconds - pace.start_s) / epoch_s), MOST_EPOCHS))
    return replace(_trained(scale, epochs, augmentation), num_images=num_images)


def _trained(scale: Scale, epochs: int, augmentation: tuple[str, ...] | None) -> Scale:
    wanted = scale.augmentation if augmentation is None else suited(augmentation, epochs)
    return replace(scale, epochs=epochs, augmentation=wanted)


def plan_search(
    data: str,
    space: SearchSpace,
    settings: Recipe,
    seconds: float,
    *,
    given: Mapping[str, Any] = MappingProxyType({}),
    num_rungs: int | None = None,
    factor: int = FACTOR,
    seed: int = 0,
    num_workers: int | None = None,
    executor: Executor | None = None,
) -> Plan:
    """Measures typical children where children will train, and plans a search.

    Args:
        data: str, as in `keras_nasnet.data.open_data`.
        space: `SearchSpace`.
        settings: `Recipe` of children; what a `Scale` has of it is chosen.
        seconds: float > 0, for the search and a network of its best cell, from now on.
        given: values of `Scale`'s arguments that are not to be chosen.
        num_rungs: int; None (default) for up to 3.
        factor: as in `Rungs`.
        seed, executor: as in `NASNetTuner`.
        num_workers: as in `NASNetTuner.search`; on this machine by default `default_workers()`.

    Returns:
        `Plan`.

    Raises:
        ValueError: if the time is too short, or a value out of range.
        ChildFailedError: if a child cannot be trained.
        ExecutorError: as from `NASNetTuner.search`.
    """
    start = time.monotonic()
    if num_workers is None:
        num_workers = default_workers() if executor is None else room(executor, None)
    training, _ = open_data(data, seed)
    num_images = int(len(training) * (1 - HELD_OUT_SHARE))
    side = median_side(training, CHILD_SIDE)
    candidates = scales(num_images, side, settings.augmentation, given)

    def pace_on(attempts: Attempts, scale: Scale) -> Pace:
        jobs = [scale.job(cells, settings, data, seed) for cells in typical(space, scale, seed)]
        paces: list[Pace] = []
        with TemporaryDirectory() as place:
            waiting = list(enumerate(jobs))
            while waiting or len(attempts):
                while waiting and attempts.has_room():
                    number, job = waiting.pop(0)
                    child = Child(job, HELD_OUT_SHARE)
                    attempts.begin(str(number), Path(place) / str(number), Measuring(child))
                paces += (_pace_of(outcome) for _, outcome in attempts.ended())
        return Pace(*np.mean([astuple(pace) for pace in paces], 0).tolist())

    lost = (lambda *_: MAX_LOSSES + 1), (lambda: None)  # a second attempt would be as bad
    with (
        attempts_on(executor, num_workers, *lost) as attempts,
        attempts_on(executor, 1, *lost) as alone,
    ):
        plan = make_plan(
            seconds,
            candidates,
            partial(pace_on, attempts),
            num_images,
            num_workers=num_workers,
            alone=partial(pace_on, alone) if executor is None and num_workers > 1 else None,
            num_rungs=num_rungs,
            factor=factor,
            cuts_epochs="epochs" not in given,
            augmentation=None if "augmentation" in given else settings.augmentation,
        )
    left_s = plan.search_s - (time.monotonic() - start)
    if left_s <= 0:
        raise ValueError(f"minutes: measuring a child took all of the {seconds / 60:.3g}")
    return replace(plan, search_s=left_s)


def _pace_of(outcome: Outcome) -> Pace:
    if outcome.results is None:
        raise ChildFailedError(f"a child to measure: {reason_of(outcome.message)}")
    return Pace(**outcome.results[0])


def typical(space: SearchSpace, scale: Scale, seed: int) -> list[Genotype]:
    """Cells of few, middling and many multiply-adds among random ones of a space."""
    searcher = RandomSearcher(space, seed)
    drawn = [space.decode(searcher.ask(str(number))) for number in range(NUM_DRAWN)]
    drawn.sort(key=lambda cells: size_of(scale.config(cells), scale.size)["mult_adds"])
    return [drawn[place] for place in MEASURED]
