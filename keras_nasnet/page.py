"""Pages of HTML that hold all they show: the frame, tables and figures of every report."""

import base64
import io
from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from keras_nasnet.atomic import replace_file
from keras_nasnet.optional import import_optional

STYLE = """
:root { color-scheme: light dark; --ink: #1d2129; --soft: #5b6270; --line: #d8dce2;
  --paper: #fff; --card: #f4f6f8; --tint: #2166ac }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7eb; --soft: #a5adb8; --line: #3b414a;
  --paper: #16181c; --card: #20242a; --tint: #6ea8e0 } }
* { box-sizing: border-box }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem;
  color: var(--ink); background: var(--paper); overflow-wrap: anywhere }
h1, h2, h3 { line-height: 1.25; text-wrap: balance }
h2 { margin: 2.5rem 0 0.5rem }
h3 { font-size: 1rem; margin: 1.25rem 0 0.5rem }
p, ul { max-width: 44rem }
img { max-width: 100%; vertical-align: bottom }
img.paper { background: #fff; padding: 0.5rem; border-radius: 6px }
.scroll { overflow-x: auto }
.scroll > img { min-width: 32rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; overflow-wrap: normal }
th, td { padding: 0.15rem 0.7rem; text-align: right; border-bottom: 1px solid var(--line) }
thead th { color: var(--soft); font-weight: 600; vertical-align: bottom; white-space: nowrap }
.text-1 :is(th, td):nth-child(-n + 1), .text-2 :is(th, td):nth-child(-n + 2),
.text-3 :is(th, td) { text-align: left; overflow-wrap: anywhere;
  min-width: min(9rem, 30vw); unicode-bidi: plaintext }
@media (max-width: 30rem) { table { font-size: 0.875rem } th, td { padding: 0.15rem 0.35rem } }
summary { cursor: pointer; padding: 0.3rem 0; color: var(--tint) }
"""

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
<main>
<h1>{title}</h1>
<p>{summary}</p>
{sections}
</main>
</html>
"""

# Of a drawing shown on the page itself: text and axes in the page's ink, nothing behind them.
INK = "svg{color:#1d2129;fill:currentColor}@media(prefers-color-scheme:dark){svg{color:#e4e7eb}}"


def write_page(
    path: Path, title: str, summary: str, sections: Iterable[str], style: str = ""
) -> None:
    """Writes a page.

    Args:
        path: of the file.
        title, summary: plain text.
        sections: HTML.
        style: CSS for what only this page has.

    Raises:
        NotWrittenError: if it cannot be written.
    """
    page = PAGE.format(
        title=escape(title),
        summary=escape(summary),
        sections="\n".join(sections),
        style=STYLE + style,
    )
    # Names of files that are no Unicode have no place in UTF-8.
    replace_file(path, lambda beside: beside.write_bytes(page.encode("utf-8", "replace")))


def named(name: str) -> str:
    """A name as HTML, set apart from the text around it, whatever its script."""
    return f"<bdi>{escape(name)}</bdi>"


def section(title: str, body: str) -> str:
    """A section with its heading; `body` is HTML."""
    return f"<section>\n<h2>{escape(title)}</h2>\n{body}\n</section>"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], num_texts: int = 0) -> str:
    """A table of plain text, the first `num_texts` columns of which are text, not numbers."""
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n" for row in rows
    )
    texts = f' class="text-{num_texts}"' if num_texts else ""
    whole = f"<table{texts}>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table>"
    return scrolled(whole, "table")


def scrolled(body: str, label: str) -> str:
    """What may be wider than the screen: it is scrolled by itself, with the keyboard too."""
    return f'<div class="scroll" role="group" aria-label="{label}" tabindex="0">{body}</div>'


def folded(summary: str, body: str) -> str:
    """What is shown when its summary, plain text, is clicked; `body` is HTML."""
    return f"<details><summary>{escape(summary)}</summary>{body}</details>"


def draw(drawing: Callable[..., None], *arguments: Any, size: tuple[float, float] = (10, 5)) -> Any:
    """A matplotlib figure, drawn by `drawing(figure, *arguments)`.

    Raises:
        ValueError: if matplotlib is not installed.
    """
    figure = import_optional("matplotlib.figure", "plot").Figure(size, layout="constrained")
    drawing(figure, *arguments)
    return figure


def svg(figure: Any) -> bytes:
    """A figure of matplotlib as SVG, without a background."""
    stream = io.BytesIO()
    figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()


def drawing(data: bytes, alt: str, is_wide: bool = True) -> str:
    """A drawing by matplotlib, SVG, in the colors of the page, light or dark.

    Args:
        data: contents of the file.
        alt: plain text for those who cannot see it.
        is_wide: bool, default True. Whether a narrow screen shows a part of it rather than all of
            it too small to read.
    """
    text = data.decode().replace("#000000", "currentColor").replace("#ffffff", "none")
    image = picture(text.replace("<style ", f"<style>{INK}</style><style ", 1).encode(), alt)
    return scrolled(image, "drawing") if is_wide else image


def picture(data: bytes, alt: str, kind: str = "svg+xml", on_paper: bool = False) -> str:
    """A picture as it is.

    Args:
        data: contents of the file.
        alt: plain text for those who cannot see it.
        kind: str, such as `"jpeg"`. Default SVG.
        on_paper: bool, default False. Whether it needs white behind it.
    """
    paper = ' class="paper"' if on_paper else ""
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return f'<img{paper} alt="{escape(alt)}" src="{source}">'
