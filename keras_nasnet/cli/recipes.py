"""`keras-nasnet recipes`."""

import argparse

from rich.table import Table

from keras_nasnet.cli.arguments import Commands, add_set, command, recipe_of
from keras_nasnet.terminal import console
from keras_nasnet.training.recipe_table import RECIPES


def add(commands: Commands) -> None:
    parser = command(
        commands,
        "recipes",
        run,
        "print the training recipes, each value with its source",
        "keras-nasnet recipes cifar10 --set epochs=60",
    )
    parser.add_argument("recipe", nargs="?", metavar="NAME", help=f"one of {', '.join(RECIPES)}")
    add_set(parser)


def run(options: argparse.Namespace) -> int:
    if options.recipe is None:
        if options.set:
            raise ValueError("--set: name the recipe to change")
        table = Table("setting", *(name.replace("-", "-\n") for name in RECIPES))
        for name in RECIPES["cifar10"]:
            table.add_row(name, *(_text(choices[name].value) for choices in RECIPES.values()))
    else:
        changed = {change.partition("=")[0] for change in options.set}
        values = recipe_of(options.recipe, options.set)
        table = Table("setting", "value", "source")
        for name, choice in RECIPES[options.recipe].items():
            source = "--set" if name in changed else choice.source
            table.add_row(name, _text(getattr(values, name)), source)
    console.print(table)
    return 0


def _text(value: object) -> str:
    return ", ".join(value) if isinstance(value, tuple) else f"{value}"
