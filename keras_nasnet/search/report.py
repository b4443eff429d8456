"""The report of a search: `report.html`, and its figures as separate files."""

from collections.abc import Callable, Sequence
from math import erf, sqrt
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from keras_nasnet.atomic import replace_file
from keras_nasnet.cells.genotype import Genotype
from keras_nasnet.cells.operation import OPERATIONS
from keras_nasnet.cells.plot import plot_genotype
from keras_nasnet.optional import import_optional
from keras_nasnet.page import draw, drawing, picture, scrolled, section, table, write_page
from keras_nasnet.search.progress import RECENT, score_text
from keras_nasnet.search.report_rungs import (
    DROPPED,
    FURTHEST,
    curves,
    draw_curves,
    dropped_table,
    pareto,
    rungs_table,
    time_table,
)
from keras_nasnet.search.rungs import Rungs
from keras_nasnet.search.searchers.searcher import Searcher

REPORT, PICTURES = "report.html", "pictures"
FORMATS = (".png", ".svg")
NUM_LEADERS, NUM_DRAWN = 20, 3
SIZES = ("parameters", "mult_adds", "network_mult_adds")

Row: TypeAlias = dict[str, Any]  # of a table, by column


def write_report(
    folder: Path,
    trials: list[Row],
    finalists: list[Row],
    searcher: Searcher,
    rungs: Rungs,
    plan: Row | None = None,
) -> None:
    """Writes `report.html` and its figures.

    Args:
        folder: path of the search.
        trials: rows of `trials.csv`; trial names are numbers.
        finalists: rows of `finalists.csv`, the best first; may be empty.
        searcher: `Searcher`, whose first trials predict what random search would find.
        rungs: `Rungs` of the children.
        plan: dict of `Plan.to_dict`, or None (default) without a plan.

    Raises:
        ValueError: if matplotlib is not installed.
    """
    import_optional("matplotlib", "search")
    pictures = folder / PICTURES
    pictures.mkdir(exist_ok=True)
    trials = sorted(trials, key=_number)
    leaders = sorted(
        (row for row in trials if row["reward"] is not None),
        key=lambda row: (-row["epochs"], -row["reward"]),
    )
    sections = [
        section(
            "Progress" if len(rungs) == 1 else "Progress at the first rung",
            _picture(pictures / "progress", _draw_progress, _at_first_rung(trials), searcher),
        ),
        *_of_rungs(folder, trials, rungs, plan),
        time_table(trials, plan),
        section("Reward and cost", _picture(pictures / "costs", _draw_costs, leaders)),
        section("Operations chosen", _picture(pictures / "operations", _draw_operations, trials)),
    ]
    if finalists:
        columns: tuple[str, ...] = ("trial", "reward", "longer")
        sections.append(section("Finalists, trained longer", _table(finalists, columns)))
    columns = ("trial", "reward", "epochs", *SIZES, "seconds")
    sections.append(section("Leaderboard", _table(leaders[:NUM_LEADERS], columns)))
    for rank, row in enumerate(leaders[:NUM_DRAWN], 1):
        genotype = Genotype.from_json(row["genotype"])
        stem = pictures / f"cells_{rank}"
        for suffix in FORMATS:
            plot_genotype(genotype, stem.with_suffix(suffix))
        cells = picture(stem.with_suffix(".svg").read_bytes(), stem.name, on_paper=True)
        sections.append(section(f"Cells of trial {row['trial']}", scrolled(cells, "cells")))
    title = f"Cell search: {folder.name}"
    write_page(folder / REPORT, title, _summary(trials, leaders, searcher), sections)


def _of_rungs(folder: Path, trials: list[Row], rungs: Rungs, plan: Row | None) -> list[str]:
    found = curves(folder, trials)
    if not found:
        return []
    picture = _picture(folder / PICTURES / "curves", draw_curves, trials, found, rungs)
    if len(rungs) == 1:
        return [section("Curves", picture)]
    tables = rungs_table(trials, rungs, plan) + dropped_table(trials, rungs)
    return [section("Rungs", picture + tables)]


def _at_first_rung(trials: list[Row]) -> list[Row]:
    """The rows with rewards that can be compared: those after the same training."""
    firsts = [row["rewards"][0] if row["rewards"] else None for row in trials]
    return [row | {"reward": first} for row, first in zip(trials, firsts, strict=True)]


def _number(row: Row) -> int:
    """The number of a trial, the same in charts, tables and folders."""
    return int(row["trial"])


def _summary(trials: list[Row], leaders: list[Row], searcher: Searcher) -> str:
    hours = sum(row["seconds"] or 0 for row in trials) / 3600
    best = f"the best reward is {leaders[0]['reward']:.4f}" if leaders else "none succeeded"
    return (
        f"{len(trials)} trials by {type(searcher).__name__} over {len(searcher.decisions)} "
        f"decisions, {hours:.2f} hours of training; {len(trials) - len(leaders)} failed; {best}."
    )


def expected_best(rewards: Sequence[float] | np.ndarray, num_trials: int) -> np.ndarray:
    """The expected best reward of random search after 1, 2, ... trials.

    Args:
        rewards: floats, two or more, of random trials. Rewards are taken as normally distributed
            with their mean and deviation.
        num_trials: int.

    Returns:
        Float array `(num_trials,)`.
    """
    z = np.linspace(-8, 8, 1601)
    cumulative = np.array([(1 + erf(value / sqrt(2))) / 2 for value in z])
    powers = cumulative ** np.arange(1, num_trials + 1)[:, None]
    # E max = the integral of 1 - F^n over z > 0, minus that of F^n over z < 0.
    greatest = np.trapezoid((z > 0) - powers, z, axis=1)
    return np.asarray(np.mean(rewards) + np.std(rewards, ddof=1) * greatest)


def _draw_progress(figure: Any, trials: list[Row], searcher: Searcher) -> None:
    rewards = np.array([np.nan if row["reward"] is None else row["reward"] for row in trials])
    numbers = [_number(row) for row in trials]
    axes = figure.subplots()
    axes.plot(numbers, rewards, ".", color="#9db7d5", label="trials")
    if np.isfinite(rewards).any():
        axes.step(numbers, np.fmax.accumulate(rewards), where="post", label="best so far")
        means = [
            np.nanmean(part) if np.isfinite(part).any() else np.nan for part in _recent(rewards)
        ]
        axes.plot(numbers, means, label=f"mean of the last {RECENT}")
    first = rewards[: searcher.num_starts]
    first = first[np.isfinite(first)]
    if len(first) > 1:
        label = f"expected best of random search,\nfrom the {len(first)} random trials"
        axes.plot(numbers, expected_best(first, len(trials)), "--", color="#777777", label=label)
    axes.set(xlabel="trial", ylabel="reward")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    axes.legend()


def _draw_costs(figure: Any, leaders: list[Row]) -> None:
    """Rewards by cost, lighter for children that were dropped, and the Pareto front."""
    axes = figure.subplots()
    furthest = max((row["epochs"] for row in leaders), default=0)
    for is_last, color in ((False, DROPPED), (True, FURTHEST)):
        rows = [row for row in leaders if (row["epochs"] == furthest) is is_last]
        axes.scatter(_costs(rows), [row["reward"] for row in rows], s=14, color=color)
    front = pareto(leaders)
    axes.step(_costs(front), [row["reward"] for row in front], where="post", color=FURTHEST)
    for row in front:
        axes.annotate(row["trial"], (_costs([row])[0], row["reward"]))
    axes.set(xlabel="million multiply-adds of the network the cells are meant for", ylabel="reward")
    axes.grid(alpha=0.3)


def _costs(rows: list[Row]) -> list[float]:
    return [row["network_mult_adds"] / 1e6 for row in rows]


def _draw_operations(figure: Any, trials: list[Row]) -> None:
    """Shares of the operations in the cells tried, over a window of recent trials."""
    genotypes = [Genotype.from_json(row["genotype"]) for row in trials]
    tried = {
        edge.op
        for genotype in genotypes
        for block in (*genotype.normal.blocks, *genotype.reduction.blocks)
        for edge in (block.left, block.right)
    }
    operations = [op for op in OPERATIONS if op in tried]
    numbers = [_number(row) for row in trials]
    panels = figure.subplots(2, 1, sharex=True)
    colors = import_optional("matplotlib", "search").colormaps["tab20"].colors
    for axes, kind in zip(panels, ("normal", "reduction"), strict=True):
        counts = np.array(
            [
                [
                    sum(
                        edge.op == op
                        for block in getattr(genotype, kind).blocks
                        for edge in (block.left, block.right)
                    )
                    for op in operations
                ]
                for genotype in genotypes
            ]
        )
        means = np.array([part.mean(0) for part in _recent(counts)])
        shares = means / means.sum(1, keepdims=True)
        axes.stackplot(numbers, shares.T, labels=operations, colors=colors)
        axes.set(title=f"{kind} cell", ylim=(0, 1), xlim=(0, max(1, *numbers)))
        axes.set_ylabel(f"share of the last {RECENT}")
    panels[1].set_xlabel("trial")
    panels[1].xaxis.get_major_locator().set_params(integer=True)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="outside right center", fontsize=8)


def _recent(values: np.ndarray) -> list[np.ndarray]:
    """For each value, the last few values up to it."""
    return [values[max(0, end - RECENT) : end] for end in range(1, len(values) + 1)]


def _picture(stem: Path, draws: Callable[..., None], *arguments: Any) -> str:
    figure = draw(draws, *arguments)
    for suffix in FORMATS:
        replace_file(stem.with_suffix(suffix), lambda beside: figure.savefig(beside, dpi=120))
    return drawing(stem.with_suffix(".svg").read_bytes(), stem.name)


def _table(rows: list[Row], columns: Sequence[str]) -> str:
    def text(value: Any) -> str:
        if isinstance(value, float):
            return score_text(value) if value < 10 else f"{value:,.0f}"
        return f"{value:,}" if isinstance(value, int) else str(value)

    head = [column.replace("_", "-") for column in columns]
    return table(head, ([text(row[column]) for column in columns] for row in rows))
