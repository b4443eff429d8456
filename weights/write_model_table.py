"""Writes the table of models in README.md, from the catalog.

Run it from the repository's root after the catalog has changed:

    python weights/write_model_table.py
"""

from pathlib import Path

from keras_nasnet.cells.catalog import MODELS, PUBLICATIONS
from keras_nasnet.cells.summary import short_count, summarize

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- models -->\n", "<!-- end of models -->\n"


def table() -> str:
    """The rows of the models, in Markdown."""
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


def with_table(text: str) -> str:
    """A text with the table between its two marks."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return before + BEGIN + table() + END + after


if __name__ == "__main__":
    README.write_text(with_table(README.read_text()))
    print(table())
