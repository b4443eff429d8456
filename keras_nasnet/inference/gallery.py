"""The images of an evaluation on a page: mistakes, activation maps, near-duplicates."""

import io
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import PurePath

import numpy as np
from PIL import Image

from keras_nasnet.data.inspection import find_duplicates
from keras_nasnet.data.likeness import Pair, find_alike
from keras_nasnet.data.source import Source
from keras_nasnet.inference.classifier import Classifier
from keras_nasnet.inference.evaluation import EXTRA, Evaluation, image_name
from keras_nasnet.optional import import_optional
from keras_nasnet.page import named, picture
from keras_nasnet.tensor import Size

NUM_WORST, NUM_UNSURE, NUM_ALIKE = 24, 24, 12
NUM_MAPS = 16  # one batch
SIDE = 128  # pixels of the longer side
QUALITY = 75  # of the JPEGs, of 3 to 6 kB each
OPACITY = 0.55  # of an activation map
STYLE = """
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr));
  gap: 1rem; list-style: none; padding: 0; max-width: none; font-size: 0.8125rem;
  line-height: 1.35 }
.gallery.of-2 { grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)) }
.gallery.of-3 { grid-template-columns: repeat(auto-fill, minmax(min(22rem, 100%), 1fr)) }
figure { margin: 0 }
figure div { display: flex; gap: 4px }
figure img { flex: 0 1 8.5rem; min-width: 0; width: 8.5rem; border-radius: 4px;
  background: var(--card) }
figcaption { padding-top: 0.3rem }
figcaption span { display: block; color: var(--soft) }
"""


def worst(evaluation: Evaluation, source: Source, size: Size) -> str:
    """Images taken for another class."""
    wrong = int((~evaluation.is_right).sum())
    if not wrong:
        return "<p>None.</p>"
    text = f"<p>Of {wrong:,} images taken for another class, those it was surest of.</p>\n"
    return text + _gallery(
        [_single(evaluation, source, i, size) for i in evaluation.mistakes(NUM_WORST)]
    )


def unsure(evaluation: Evaluation, source: Source, size: Size) -> str:
    """Images that may be of any class."""
    text = "<p>Images whose best class got the least probability.</p>\n"
    return text + _gallery(
        [_single(evaluation, source, i, size) for i in evaluation.unsure(NUM_UNSURE)]
    )


def maps(evaluation: Evaluation, classifier: Classifier, source: Source) -> str:
    """Class activation maps of the worst mistakes and of the surest right ones."""
    right = np.flatnonzero(evaluation.is_right)
    right = right[np.argsort(-evaluation.confidence[right], kind="stable")]
    wrong = evaluation.mistakes(NUM_MAPS // 2)
    indices = [*wrong, *right[: NUM_MAPS - len(wrong)]]
    positions = [int(evaluation.positions[index]) for index in indices]
    images = (source.open_item(source.items[position]) for position in positions)
    try:
        maps = [found for _, found in classifier.activation_maps(images)]
    except ValueError:
        return "<p>The model is not a network of this package, so it has no such maps.</p>"
    figures = []
    for index, position, found in zip(indices, positions, maps, strict=True):
        if not isinstance(found, np.ndarray):
            continue
        pixels = _thumbnail(source, position, classifier.size)
        pictures = [_jpeg(pixels, _alt(evaluation, index))]
        for label in dict.fromkeys((evaluation.predicted[index], evaluation.labels[index])):
            alt = f"what speaks for {evaluation.class_names[label]}"
            pictures.append(_jpeg(_overlay(pixels, found[..., label]), alt))
        figures.append(_figure(pictures, *_caption(evaluation, index)))
    return (
        "<p>Class activation maps: bright is what speaks for the class it was taken for, then, if "
        "that is wrong, for the true one. The worst mistakes are first, then images it is "
        f"surest of.</p>{_gallery(figures, 3)}"
    )


def alike(source: Source, training: Source | str, size: Size) -> str:
    """Images that are training images too, or nearly."""
    if isinstance(training, str):
        return f"<p>{escape(training)}</p>"
    pairs, looked, looked_in = find_alike(source, training)
    text = (
        f"<p>{len(pairs):,} of {looked:,} images looked at are nearly equal to one of "
        f"{looked_in:,} training images. "
    )
    text += (
        "They may be the same photograph saved again, made brighter, smaller or mirrored, or "
        "another of the same scene; such images make the accuracy look better than it is.</p>"
        if pairs
        else "Cropped or turned copies would not be found.</p>"
    )
    if copies := find_duplicates(training, source):
        lines = "".join(f"<li>{escape(line)}</li>" for line in copies)
        text += f"<p>Files with the same content:</p>\n<ul>{lines}</ul>"
    figures = [_pair(pair, source, training, size) for pair in pairs[:NUM_ALIKE]]
    return text + (_gallery(figures, 2) if figures else "")


def _pair(pair: Pair, source: Source, training: Source, size: Size) -> str:
    pictures, names, classes = [], [], []
    for side, position in ((source, pair.index), (training, pair.other)):
        classes.append(side.class_names[side.labels[position]])
        names.append(_short_name(image_name(side, position)))
        pictures.append(_jpeg(_thumbnail(side, position, size), f"image of {classes[-1]}"))
    first, second = map(named, classes)
    caption = f"<b>{first}</b>" if first == second else f"<b>{first}</b>, training: <b>{second}</b>"
    return _figure(pictures, caption, "<br>".join(names))


def _single(evaluation: Evaluation, source: Source, index: int, size: Size) -> str:
    pixels = _thumbnail(source, int(evaluation.positions[index]), size)
    return _figure([_jpeg(pixels, _alt(evaluation, index))], *_caption(evaluation, index))


def _alt(evaluation: Evaluation, index: int) -> str:
    return f"image of {evaluation.class_names[evaluation.labels[index]]}"


def _caption(evaluation: Evaluation, index: int) -> tuple[str, str]:
    """What an image is and was taken for, and its name."""
    true, taken = (
        named(evaluation.class_names[i])
        for i in (evaluation.labels[index], evaluation.predicted[index])
    )
    probability = f"{evaluation.confidence[index]:.1%}"
    if evaluation.is_right[index]:
        text = f"<b>{true}</b>, rightly, with {probability}"
    else:
        text = f"<b>{true}</b>, taken for <b>{taken}</b> with {probability}"
    return text, _short_name(evaluation.images[index])


def _figure(pictures: Iterable[str], caption: str, note: str = "") -> str:
    """Pictures beside each other with a caption and a note below it; all of them HTML."""
    note = f"<span>{note}</span>" if note else ""
    row = "".join(pictures)
    return f"<figure><div>{row}</div><figcaption>{caption}{note}</figcaption></figure>"


def _gallery(figures: Sequence[str], pictures: int = 1) -> str:
    """Figures in rows, each of up to so many pictures."""
    items = "".join(f"<li>{figure}</li>\n" for figure in figures)
    return f'<ul class="gallery of-{pictures}">\n{items}</ul>'


def _short_name(name: str) -> str:
    """The name of an image as HTML: of a path the last two parts."""
    return f'<bdi title="{escape(name)}">{escape("/".join(PurePath(name).parts[-2:]))}</bdi>'


def _thumbnail(source: Source, position: int, size: Size) -> np.ndarray:
    """An image as a network of this input size sees it, `SIDE` pixels high or wide.

    Returns:
        uint8 array `(height, width, 3)`; grey if it cannot be decoded.
    """
    scale = SIDE / max(size)
    height, width = (max(1, round(side * scale)) for side in size)
    image = source.read(position, (height, width))
    return np.full((height, width, 3), 128, "uint8") if image is None else image


def _jpeg(pixels: np.ndarray, alt: str) -> str:
    """Pixels as a picture on the page."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=QUALITY)
    return picture(stream.getvalue(), alt, "jpeg")


def _overlay(pixels: np.ndarray, activation_map: np.ndarray) -> np.ndarray:
    """An image below a class activation map, from dark where nothing speaks for the class.

    Args:
        pixels: uint8 array `(height, width, 3)`.
        activation_map: float array of any height and width.
    """
    speaking = np.maximum(activation_map, 0)
    heat = Image.fromarray(speaking / max(speaking.max(), 1e-12))
    heat = heat.resize(pixels.shape[1::-1], Image.Resampling.BICUBIC)
    colors = import_optional("matplotlib", EXTRA).colormaps["inferno"]
    colored = 255 * colors(np.clip(np.asarray(heat), 0, 1))[..., :3]
    return ((1 - OPACITY) * pixels + OPACITY * colored).astype("uint8")
