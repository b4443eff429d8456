"""The numbers of an evaluation on a page: its classes, what is confused, calibration."""

from html import escape
from typing import Any

import numpy as np

from keras_nasnet.inference.evaluation import TOP, ClassScore, Evaluation
from keras_nasnet.page import draw, drawing, folded, named, scrolled, svg, table

MATRIX_CLASSES = 20  # of a confusion matrix; of more, the pairs most often confused
NUM_CLASSES, NUM_PAIRS = 20, 20
STYLE = """
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: 0.75rem;
  margin: 1.5rem 0 }
.facts div { background: var(--card); border-radius: 8px; padding: 0.7rem 1rem }
.facts dt { color: var(--soft); font-size: 0.875rem }
.facts dd { margin: 0; font-size: 1.6rem; line-height: 1.3; font-variant-numeric: tabular-nums }
.facts dd + dd { color: var(--soft); font-size: 0.8125rem }
.matrix th { max-width: min(14rem, 35vw); overflow: hidden; text-overflow: ellipsis;
  white-space: nowrap; unicode-bidi: plaintext; border: 0; font-weight: 400 }
.matrix thead th { writing-mode: vertical-rl; max-height: 9rem; padding: 0.4rem 0.1rem;
  text-align: right; color: var(--ink) }
.matrix tbody th { position: sticky; left: 0; background: var(--paper) }
.matrix td { min-width: 2.6rem; padding: 0.3rem; text-align: center; border: 1px solid var(--paper);
  background: color-mix(in srgb, #c0392b var(--share), var(--card)) }
.matrix td.right { background: color-mix(in srgb, #2166ac var(--share), var(--card)) }
.matrix td.strong { color: #fff }
.matrix td.none { color: var(--soft) }
"""


def percent(value: float) -> str:
    """A share as a percentage; a dash for NaN, where there is none."""
    return "-" if np.isnan(value) else f"{value:.1%}"


def facts(evaluation: Evaluation) -> str:
    """The few numbers that say most."""
    low, high = map(percent, evaluation.interval)
    present = sum(score.support > 0 for score in evaluation.classes)
    items = [
        ("Accuracy", percent(evaluation.accuracy), f"95% interval: {low} to {high}"),
        ("Macro accuracy", percent(evaluation.macro_accuracy), "each class counts alike"),
        (
            "Calibration error",
            percent(evaluation.calibration_error),
            "mean distance of probability and accuracy",
        ),
        (
            "Images",
            f"{len(evaluation.labels):,}",
            f"of {present:,} classes; {len(evaluation.unreadable):,} left out",
        ),
    ]
    if evaluation.top_5 is not None:
        items.insert(1, (f"Top-{TOP}", percent(evaluation.top_5), "among the five best classes"))
    rows = "".join(
        f"<div><dt>{label}</dt><dd>{value}</dd><dd>{note}</dd></div>\n"
        for label, value, note in items
    )
    return f'<dl class="facts">\n{rows}</dl>'


def classes(evaluation: Evaluation) -> str:
    """The classes, the one with the worst recall first."""

    def of(scores: list[ClassScore]) -> str:
        rows = [(s.name, f"{s.support:,}", percent(s.recall), percent(s.precision)) for s in scores]
        return table(("class", "images", "recall", "precision"), rows, 1)

    scores = evaluation.worst_classes()
    text = "<p>Recall: the share of a class's images that are found. Precision: the share of the "
    text += "images taken for the class that are of it. The worst recall is first.</p>"
    text += of(scores[:NUM_CLASSES])
    if rest := scores[NUM_CLASSES:]:
        text += folded(f"{len(rest):,} more classes", of(rest))
    if missing := [named(score.name) for score in evaluation.classes if not score.support]:
        more = f" and {len(missing) - NUM_CLASSES:,} more" if missing[NUM_CLASSES:] else ""
        text += f"<p>No images of {', '.join(missing[:NUM_CLASSES])}{more}.</p>"
    return text


def confusion(evaluation: Evaluation) -> str:
    """The confusion matrix; of many classes, the pairs most often confused."""
    if len(evaluation.class_names) > MATRIX_CLASSES:
        pairs = evaluation.confused(NUM_PAIRS)
        if not pairs:
            return "<p>No image was taken for another class.</p>"
        rows = [
            (each.name, each.predicted, f"{each.count:,}", percent(each.share)) for each in pairs
        ]
        columns = ("is", "taken for", "images", "share")
        text = "<p>The classes most often confused, and the share of the class.</p>"
        return f"{text}\n{table(columns, rows, 2)}"
    matrix = evaluation.confusion()
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    names = [f'title="{escape(name)}">{escape(name)}</th>' for name in evaluation.class_names]
    head = "".join(f'<th scope="col" {name}' for name in names)
    body = "".join(
        f'<tr><th scope="row" {name}'
        + "".join(_cell(int(count), shares[i, j], i == j) for j, count in enumerate(row))
        + "</tr>\n"
        for i, (name, row) in enumerate(zip(names, matrix, strict=True))
    )
    whole = (
        '<table class="matrix">\n'
        f"<thead><tr><td></td>{head}</tr></thead>\n<tbody>\n{body}</tbody></table>"
    )
    text = "<p>A row for what images are, a column for what they are taken for.</p>"
    return f"{text}\n{scrolled(whole, 'confusion matrix')}"


def _cell(count: int, share: float, is_right: bool) -> str:
    kinds = [("right", is_right), ("strong", share > 0.5), ("none", not count)]
    names = " ".join(name for name, holds in kinds if holds)
    shade = f"{max(12, 100 * share):.0f}%" if count else "0%"  # one mistake is seen too
    return f'<td class="{names}" style="--share: {shade}">{f"{count:,}" if count else "·"}</td>'


def calibration(evaluation: Evaluation) -> str:
    """How far probabilities can be trusted."""
    mean = float(evaluation.confidence.mean())
    way = "too sure" if mean > evaluation.accuracy else "not sure enough"
    text = (
        f"The predicted class has a probability of {mean:.1%} in the mean and is right for "
        f"{evaluation.accuracy:.1%} of the images: {way} by {abs(mean - evaluation.accuracy):.1%}. "
        f"Expected calibration error: {evaluation.calibration_error:.1%}."
    )
    picture = drawing(svg(draw(_draw_calibration, evaluation, size=(7, 4.5))), text, is_wide=False)
    return f"<p>{text}</p>\n{picture}"


def _draw_calibration(chart: Any, evaluation: Evaluation) -> None:
    curve, counts = chart.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    bins = evaluation.bins
    curve.plot([0, 1], [0, 1], "--", color="#888888", label="calibrated")
    means = [part.confidence for part in bins], [part.accuracy for part in bins]
    curve.plot(*means, "o-", label="this classifier")
    curve.set(ylabel="share that is right", xlim=(0, 1), ylim=(0, 1.02))
    curve.legend()
    counts.hist(evaluation.confidence, bins=np.linspace(0, 1, 41))
    counts.set(xlabel="probability of the predicted class", ylabel="images")
    for axes in (curve, counts):
        axes.grid(alpha=0.3)
