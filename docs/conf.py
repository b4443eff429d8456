"""The documentation: pages, the reference of docstrings and parsers, executed tutorials.

`make docs` builds it. Whatever Sphinx would warn of, such as a broken link or name, is an error.
"""

import sys
from pathlib import Path

import keras_nasnet
from keras_nasnet.terminal import import_keras

HERE = Path(__file__).parent
sys.path.append(str(HERE / "extensions"))

from tutorials import THUMBNAIL, write_scripts  # noqa: E402

import_keras()  # without what TensorFlow writes meanwhile

project = "keras_nasnet"
author = "The keras_nasnet authors"
copyright = f"2026, {author}"
release = version = keras_nasnet.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "command_line",
    "names",
]
exclude_patterns = ["tutorials"]
default_role = "code"  # single backticks, as in the docstrings

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
autodoc_inherit_docstrings = False
autodoc_preserve_defaults = True
autodoc_typehints = "none"  # the docstrings say more
napoleon_custom_sections = [("Call arguments", "params_style"), ("Reference", "notes_style")]
# Names of others are not looked up, so that the site is built without the network.
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!keras_nasnet).*")]

write_scripts()
sphinx_gallery_conf = {
    "examples_dirs": "../build/tutorials",
    "gallery_dirs": "learn",
    "filename_pattern": "",  # all are executed
    "within_subsection_order": "tutorials.order",
    "reset_modules": ("matplotlib", "tutorials.before_each"),
    "abort_on_example_error": True,
    "parallel": 2,
    "download_all_examples": False,
    "notebook_extensions": {},
    "write_computation_times": False,
    "capture_repr": (),
    "default_thumb_file": str(THUMBNAIL),
    "show_signature": False,
}

toc_object_entries_show_parents = "hide"
html_theme = "furo"
pygments_dark_style = "github-dark"
html_title = "keras_nasnet"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
