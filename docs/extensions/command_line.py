"""`.. command-line::`: the commands and options of `keras-nasnet`, read from its parsers."""

import argparse
import re

from sphinx.util.docutils import SphinxDirective

from keras_nasnet.cli import _parser


class CommandLine(SphinxDirective):
    """A section for each command: what it does, an example, its arguments."""

    def run(self):
        commands = next(
            action
            for action in _parser()._actions
            if isinstance(action, argparse._SubParsersAction)
        )
        lines = [line for parser in commands.choices.values() for line in section(parser)]
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def section(parser):
    """The section of one command, in reStructuredText."""
    description = parser.description[0].upper() + parser.description[1:]
    _, *lines = parser.epilog.split("\n")
    examples = [line for line in lines if line.startswith("  ")]
    yield from (parser.prog, "-" * len(parser.prog), "", f"{escaped(description)}.", "")
    yield from (".. code-block:: sh", "", *(f"   {line.strip()}" for line in examples), "")
    yield from (escaped(line) for line in lines if line not in examples)
    yield from ("", f".. program:: {parser.prog}", "")
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction):
            continue
        values = parser._get_formatter()._format_args(
            action, (action.metavar or action.dest).upper()
        )
        names = action.option_strings or [""]
        yield f".. option:: {', '.join(f'{name} {values}'.strip() for name in names)}"
        help = parser._get_formatter()._expand_help(action)
        yield from ("", f"   {escaped(help[0].upper() + help[1:])}.", "")


def escaped(text):
    return re.sub(r"([*`_|\\<])", r"\\\1", text)


def setup(app):
    app.add_directive("command-line", CommandLine)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
