"""What the report of a search shows of its rungs, its time and its plan."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from keras_nasnet.page import folded, section, table
from keras_nasnet.search.rungs import Rungs
from keras_nasnet.training.log import read_log

Row: TypeAlias = dict[str, Any]
Curve: TypeAlias = tuple[list[int], list[float]]  # epochs, from 1, and validation accuracies

DROPPED, FURTHEST = "#9db7d5", "#1f77b4"


def reached(rows: Sequence[Row], rungs: Rungs) -> list[list[Row]]:
    """The rows of the trials that have ended each rung."""
    return [[row for row in rows if row["epochs"] >= epochs] for epochs in rungs.epochs]


def pareto(rows: Sequence[Row]) -> list[Row]:
    """Of the trials that got furthest those of which none is better with fewer multiply-adds.

    Returns:
        Rows by multiply-adds of the network that the cells are meant for, the fewest first.
    """
    ended = [row for row in rows if row["reward"] is not None]
    furthest = max((row["epochs"] for row in ended), default=0)
    front: list[Row] = []
    for row in sorted(ended, key=lambda row: (row["network_mult_adds"], -row["reward"])):
        if row["epochs"] == furthest and (not front or row["reward"] > front[-1]["reward"]):
            front.append(row)
    return front


def curves(folder: Path, rows: Sequence[Row]) -> dict[str, Curve]:
    """The validation accuracies of children by epoch, of those whose logs are here."""
    found: dict[str, Curve] = {}
    for row in rows:
        path = folder / f"trial_{row['trial']}" / "log.csv"
        if path.exists():
            log = [each for each in read_log(path) if "val_accuracy" in each]
            found[row["trial"]] = (
                [int(each["epoch"]) + 1 for each in log],
                [each["val_accuracy"] for each in log],
            )
    return found


def draw_curves(figure: Any, rows: Sequence[Row], found: Mapping[str, Curve], rungs: Rungs) -> None:
    """Each child's curve, the darker the further it got, and where children were compared."""
    axes = figure.subplots()
    for row in sorted(rows, key=lambda row: row["epochs"]):
        if row["trial"] in found:
            is_furthest = row["epochs"] == rungs.epochs[-1]
            axes.plot(
                *found[row["trial"]],
                ".-",
                color=FURTHEST if is_furthest else DROPPED,
                linewidth=1.2 if is_furthest else 0.8,
                markersize=3,
            )
    for epochs in rungs.epochs[:-1]:
        axes.axvline(epochs, color="#777777", linestyle="--", linewidth=0.8)
    axes.set(xlabel="epoch", ylabel="validation accuracy")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)


def rungs_table(rows: Sequence[Row], rungs: Rungs, plan: Mapping[str, Any] | None) -> str:
    """A row for each rung: how many children ended it, went on, and what it took to go on."""
    ended = reached([row for row in rows if row["reward"] is not None], rungs)
    lines = []
    for number, (epochs, here) in enumerate(zip(rungs.epochs, ended, strict=True)):
        further = {row["trial"] for row in ended[number + 1]} if number + 1 < len(ended) else set()
        went_on = [row["rewards"][number] for row in here if row["trial"] in further]
        dropped = [row["rewards"][number] for row in here if row["trial"] not in further]
        is_last = epochs == rungs.epochs[-1]
        lines.append(
            [
                str(number + 1),
                str(epochs),
                *([f"{plan['num_cells'][number]:,}"] if plan else []),
                f"{len(here):,}",
                "" if is_last else f"{len(went_on):,}",
                f"{min(went_on):.4f}" if went_on else "",
                f"{max(dropped):.4f}" if dropped and not is_last else "",
            ]
        )
    planned = ["planned"] if plan else []
    columns = ("went on", "worst of them", "best of the dropped")
    return table(["rung", "to epoch", *planned, "ended", *columns], lines)


def dropped_table(rows: Sequence[Row], rungs: Rungs) -> str:
    """A row for each dropped child, folded: where, and which place it had there."""
    ended = reached([row for row in rows if row["reward"] is not None], rungs)
    lines = []
    for number, here in enumerate(ended[:-1]):
        ranked = sorted(here, key=lambda row: -row["rewards"][number])
        for place, row in enumerate(ranked, 1):
            if row not in ended[number + 1]:
                reward, where = row["rewards"][number], str(rungs.epochs[number])
                lines.append([row["trial"], where, f"{reward:.4f}", f"{place} of {len(here)}"])
    if not lines:
        return ""
    columns = ["trial", "dropped at epoch", "reward", "place there"]
    return folded(
        f"{len(lines):,} dropped, as one in {rungs.factor} goes on", table(columns, lines)
    )


def time_table(rows: Sequence[Row], plan: Mapping[str, Any] | None) -> str:
    """Where the children's time went."""
    known = [row for row in rows if row["steps_s"]]
    whole, steps = (sum(row[name] for row in known) for name in ("seconds", "steps_s"))
    if not whole:
        return ""
    lines = [
        ["training steps", f"{steps / 60:,.1f}", f"{steps / whole:.0%}"],
        ["all else", f"{(whole - steps) / 60:,.1f}", f"{1 - steps / whole:.0%}"],
    ]
    body = table(["children", "minutes", "share"], lines, 1)
    if plan:
        body += f"<p>Planned were {plan['search_s'] / 60:,.1f} minutes of search.</p>"
    return section("Time", body)
