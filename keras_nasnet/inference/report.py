"""The report of a classifier: a page of what it gets right, what wrong, and what it looks at."""

from html import escape
from os import PathLike
from pathlib import Path
from typing import Any

from keras_nasnet.data.source import Source
from keras_nasnet.inference import gallery, scorecard
from keras_nasnet.inference.classifier import Classifier
from keras_nasnet.inference.evaluation import EXTRA, Evaluation, evaluate
from keras_nasnet.optional import import_optional
from keras_nasnet.page import draw, drawing, section, svg, table, write_page
from keras_nasnet.training.callback import LOG
from keras_nasnet.training.job import read_config
from keras_nasnet.training.log import plot_curves, read_log

REPORT = "report.html"
NUM_MESSAGES = 50
HEADINGS = {"config": "network", "linear": "linear classifier"}
OF_CLASSES = ("class_names", "normalization")  # of config.json: too long, or of no use to a reader


def check_installed() -> None:
    """Raises `ValueError` unless what a report needs is installed."""
    for module in ("sklearn", "matplotlib"):
        import_optional(module, EXTRA)


def report_run(run: str | PathLike[str], data: tuple[Source, Source]) -> Evaluation:
    """Evaluates the model of a run on its validation images and writes `report.html` there.

    Costs one pass over the validation images, a batch of 16 for the activation maps, and up to
    25,000 images read at 16 x 16 to look for near-duplicates.

    Args:
        run: path of the run folder.
        data: training and validation `Source`.

    Returns:
        `Evaluation`.

    Raises:
        ValueError: as `Classifier.load`, `evaluate` and `write_report`.
        NotWrittenError: if the page cannot be written.
    """
    check_installed()
    training, validation = data
    classifier = Classifier.load(run)
    evaluation = evaluate(classifier, validation)
    write_report(
        Path(run) / REPORT,
        evaluation,
        classifier,
        validation,
        name=f"{Path(run).resolve().name}, validation images",
        training=training,
        run=run,
    )
    return evaluation


def write_report(
    path: str | PathLike[str],
    evaluation: Evaluation,
    classifier: Classifier,
    source: Source,
    *,
    name: str = "",
    training: Source | str = "No training images were given to compare with.",
    run: str | PathLike[str] | None = None,
) -> None:
    """Writes a page, for light and dark screens, that holds all it shows.

    It has at most 112 small pictures; the network runs on at most 16 images again.

    Args:
        path: of the HTML file.
        evaluation: `Evaluation` of the classifier on the source.
        classifier: `Classifier`.
        source: `Source` of the images evaluated.
        name: str, what was evaluated on what, for the title.
        training: `Source` of the images that the classifier was trained on, to find near-duplicates
            of theirs among those evaluated; or a sentence that says why there are none.
        run: path of the run folder, for its curves and settings; None (default) for none.

    Raises:
        ValueError: if scikit-learn or matplotlib is not installed.
        NotWrittenError: if the page cannot be written.
    """
    check_installed()
    right, size = int(evaluation.is_right.sum()), classifier.size
    sections = [
        scorecard.facts(evaluation),
        *(_curves(Path(run)) if run is not None else ()),
        section("Classes", scorecard.classes(evaluation)),
        section("Confusion", scorecard.confusion(evaluation)),
        section("Calibration", scorecard.calibration(evaluation)),
        section("Worst mistakes", gallery.worst(evaluation, source, size)),
        section("Least sure", gallery.unsure(evaluation, source, size)),
        section("What it looks at", gallery.maps(evaluation, classifier, source)),
        section("Near-duplicates of training images", gallery.alike(source, training, size)),
        section("Images left out", _left_out(evaluation, training)),
        *(_settings(Path(run)) if run is not None else ()),
    ]
    summary = f"{right:,} of {len(evaluation.labels):,} images are classified correctly."
    style = scorecard.STYLE + gallery.STYLE
    write_page(Path(path), f"Evaluation: {name}", summary, sections, style)


def _curves(run: Path) -> list[str]:
    rows = read_log(run / LOG) if (run / LOG).is_file() else []
    if not rows:
        return []
    frozen = read_config(run).get("linear")
    best = max(rows, key=lambda row: row["val_accuracy"])
    text = (
        f"Best validation accuracy: {best['val_accuracy']:.1%}, after epoch {best['epoch'] + 1} "
        f"of {rows[-1]['epoch'] + 1}."
    )
    if frozen is not None:
        text += (
            " Before it was unfrozen, the network with a linear classifier had "
            f"{frozen['val_accuracy']:.1%}."
        )
    figure = draw(plot_curves, rows, frozen, size=(10, 4))
    return [section("Training", f"<p>{text}</p>\n{drawing(svg(figure), f'Curves: {text}')}")]


def _left_out(evaluation: Evaluation, training: Source | str) -> str:
    messages = {
        *evaluation.unreadable,
        *(training.unreadable if isinstance(training, Source) else ()),
    }
    if not messages:
        return "<p>None.</p>"
    lines = "".join(f"<li>{escape(line)}</li>\n" for line in sorted(messages)[:NUM_MESSAGES])
    more = (
        f"<p>And {len(messages) - NUM_MESSAGES:,} more.</p>" if len(messages) > NUM_MESSAGES else ""
    )
    return f"<p>{len(messages):,} could not be read:</p>\n<ul>{lines}</ul>{more}"


def _settings(run: Path) -> list[str]:
    """What `config.json` says, a table for each object in it."""
    config = read_config(run)
    plain = {key: value for key, value in config.items() if not isinstance(value, dict)}
    tables = [_pairs({key: plain[key] for key in plain if key not in OF_CLASSES})]
    if choices := config.pop("choices", None):
        rows = [(name, _text(config["recipe"].get(name)), why) for name, why in choices.items()]
        tables.append("<h3>chosen from the data</h3>")
        tables.append(table(("setting", "value", "why"), rows, 3))
    for key, value in config.items():
        if isinstance(value, dict):
            tables.append(f"<h3>{HEADINGS.get(key, escape(key))}</h3>\n{_pairs(value)}")
    return [section("Settings", "\n".join(tables))]


def _pairs(values: dict[str, Any]) -> str:
    return table(("setting", "value"), ((key, _text(value)) for key, value in values.items()), 2)


def _text(value: Any) -> str:
    """A value of `config.json` for a reader; of a genotype the name."""
    if isinstance(value, dict):
        return str(value.get("name") or "unnamed")
    if isinstance(value, list):
        return ", ".join(map(_text, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
