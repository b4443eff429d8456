"""Writes the tables of models, in README.md, and of weight formats, in the guide on weights.

Run it after one of their lists has changed:

    python weights/write_tables.py
"""

from pathlib import Path

from keras_nasnet.cells.catalog import MODELS, PUBLICATIONS
from keras_nasnet.cells.summary import short_count, summarize
from keras_nasnet.weights import formats

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", ROOT / "docs" / "guides" / "weights.md")


def models() -> str:
    """The table of models, in Markdown."""
    lines = [
        "| model | as published | size | parameters | multiply-adds | ImageNet top-1 / top-5, % |",
        "|---|---|---|---|---|---|",
    ]
    for name, config in MODELS.items():
        rows, published = summarize(config), PUBLICATIONS[name]
        params = short_count(sum(row.params for row in rows))
        mult_adds = short_count(sum(row.mult_adds for row in rows))
        cells = (published.notation, config.input_size, params, mult_adds, published.accuracy)
        lines.append(f"| `{name}` | {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


def weight_formats() -> str:
    """The table of formats, in Markdown."""
    lines = ["| format | `weights=` takes | `convert` writes |", "|---|---|---|"]
    for each in formats.FORMATS:
        endings = ", ".join(f"`{ending}`" for ending in each.endings)
        lines.append(f"| {each.title} | {each.takes} | {endings} |")
    return "\n".join(lines) + "\n"


def with_tables(text: str) -> str:
    """The text with each table that it has marks for placed between them."""
    for mark, table in (("models", models), ("formats", weight_formats)):
        begin, end = f"<!-- {mark} -->\n", f"<!-- end of {mark} -->\n"
        if begin in text:
            before, rest = text.split(begin)
            _, after = rest.split(end)
            text = before + begin + table() + end + after
    return text


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(with_tables(page.read_text()))
    print(models(), weight_formats(), sep="\n")
