"""What `keras-nasnet search` does with the time that it is given."""

from typing import TYPE_CHECKING, Any

from rich.table import Table

from keras_nasnet.check import check_integers
from keras_nasnet.cli.arguments import recipe_of
from keras_nasnet.search.limits import Limits
from keras_nasnet.search.space import SearchSpace
from keras_nasnet.terminal import console
from keras_nasnet.training.job import check_minutes

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from keras_nasnet.search.plan import Plan

# What a plan chooses if it is not given: names of options, and of a plan's `Scale`.
OF_CHILDREN = {
    "num_cells": "num_cells",
    "filters": "filters",
    "input_size": "size",
    "images": "num_images",
}
CHILD = {"num_cells": 2, "filters": 32, "input_size": (32, 32)}  # without a plan


def space_of(settings: dict[str, Any]) -> SearchSpace:
    """The search space of the settings."""
    limits = (settings[name] for name in ("for", "max_mult_adds", "max_parameters"))
    return SearchSpace(settings["blocks"], limits=Limits(*limits))


def planned(
    settings: dict[str, Any], num_workers: int | None, executor: "Executor | None"
) -> dict[str, Any]:
    """The settings with what was not given: by a plan for the time there is, if there is one."""
    from keras_nasnet.search.plan import plan_search
    from keras_nasnet.search.rungs import Rungs
    from keras_nasnet.search.scale import NUM_RUNGS, OF_RECIPE

    recipe = recipe_of(settings["recipe"], settings["set"])
    by_hand = [text.partition("=")[0] for text in settings["set"]]
    if "steps_per_epoch" in by_hand and (settings["seconds"] or settings["images"]):
        raise ValueError("--set steps_per_epoch: not with --minutes or --images, which choose it")
    if settings["seconds"] is None:
        settings = settings | {
            name: value for name, value in CHILD.items() if settings[name] is None
        }
        if settings["rungs"] is None:
            settings["rungs"] = Rungs.most(recipe.epochs, settings["factor"], NUM_RUNGS)
        if settings["images"] is not None:
            check_integers(1, images=settings["images"])
            steps = max(1, settings["images"] // recipe.batch_size)
            settings["set"] = [*settings["set"], f"steps_per_epoch={steps}"]
        return settings
    check_minutes(settings["seconds"] / 60)
    given = {
        of_scale: settings[name]
        for name, of_scale in OF_CHILDREN.items()
        if settings[name] is not None
    }
    given |= {name: getattr(recipe, name) for name in OF_RECIPE if name in by_hand}
    console.print("measuring some children ...")
    plan = plan_search(
        settings["data"],
        space_of(settings),
        recipe,
        settings["seconds"],
        given=given,
        num_rungs=settings["rungs"],
        factor=settings["factor"],
        seed=settings["seed"],
        num_workers=num_workers,
        executor=executor,
    )
    show_plan(plan)
    scale = plan.scale
    return settings | {
        "num_cells": scale.num_cells,
        "filters": scale.filters,
        "input_size": scale.size,
        "images": scale.num_images,
        "rungs": len(plan.rungs),
        "set": [*settings["set"], *(_setting(*each) for each in scale.of_recipe.items())],
        "plan": plan.to_dict(),
    }


def _setting(name: str, value: Any) -> str:
    """As an option `--set` has it."""
    return f"{name}={','.join(value) if isinstance(value, tuple) else value}"


def show_plan(plan: "Plan") -> None:
    """Prints what a search will do."""
    scale, final = plan.scale, plan.final
    console.print(
        f"children: {scale}; {scale.num_images:,} images an epoch, {scale.batch_size} a batch, "
        f"augmented by {', '.join(scale.augmentation) or 'nothing'}; "
        f"{1000 * plan.pace.step_s:.0f} ms a step"
    )
    table = Table("rung", "cells, about", "to epoch", "each", "together")
    for number, (cells, epochs, seconds) in enumerate(
        zip(plan.num_cells, plan.rungs.epochs, plan.rung_s, strict=True), 1
    ):
        together = cells * seconds / plan.num_workers / 60
        table.add_row(
            str(number), f"{cells:,}", str(epochs), f"{seconds:.0f} s", f"{together:.1f} min"
        )
    console.print(table)
    console.print(
        f"{plan.search_s / 60:.1f} minutes of search; then a network of the best cell: {final}; "
        f"{final.epochs} epochs of {final.num_images:,} images"
    )
