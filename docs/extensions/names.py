"""Names of the package in backticks link to the reference; the reference has each public one."""

import re
from importlib import import_module

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging

PUBLIC = ["", ".cells", ".data", ".weights", ".training", ".inference", ".search"]
# `keras_nasnet.fuse`, or a class or constant such as `NASNetTuner`: lower-case names alone may be
# Keras's or commands.
NAME = re.compile(r"keras_nasnet(\.\w+)+|[A-Z]\w+(\.\w+)?")

log = logging.getLogger(__name__)


class NameLinks(SphinxPostTransform):
    """Turns literals that name something of the package into references to it."""

    default_priority = 5  # before references are resolved

    def run(self):
        for node in list(self.document.findall(nodes.literal)):
            text = node.astext().removesuffix("()")
            linked = isinstance(node.parent, nodes.title | nodes.reference | pending_xref)
            if linked or not NAME.fullmatch(text):
                continue
            if target := self.target(text):
                link = pending_xref(
                    refdomain="py", reftype="obj", reftarget=target, refdoc=self.env.docname
                )
                node.replace_self(link)
                link += node
            elif text.startswith("keras_nasnet.") and not _is_module(text):
                log.warning("%s is not in the reference", text, location=node)

    def target(self, text):
        known = self.env.get_domain("py").objects
        names = [text, *(f"keras_nasnet{module}.{text}" for module in PUBLIC)]
        return next((name for name in names if name in known), None)


def _is_module(name):
    try:
        import_module(name)
    except ImportError:
        return False
    return True


def check(app, env):
    """Warns, which fails the build, for each public name without an entry in the reference."""
    known = env.get_domain("py").objects
    for module in (f"keras_nasnet{part}" for part in PUBLIC):
        for name in import_module(module).__all__:
            names = {f"{module}.{name}", f"keras_nasnet.{name}"}
            if not (names & {*known} or _is_module(f"{module}.{name}")):
                log.warning("reference: %s.%s is missing", module, name)


def setup(app):
    app.add_post_transform(NameLinks)
    app.connect("env-check-consistency", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
