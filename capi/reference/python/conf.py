"""Sphinx's settings for the page of the Python package."""

import re

from sphinx.util import logging

project = "tokenbucket"
html_title = "tokenbucket for Python"
extensions = ["sphinx.ext.autodoc"]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
autodoc_default_options = {
    "members": True,
    "undoc-members": True,
    "inherited-members": "Exception,RuntimeError,ValueError,ConnectionError,OSError,BaseException,tuple,int,IntEnum,Enum",
}
html_theme = "alabaster"
html_theme_options = {"show_powered_by": False}
html_copy_source = html_show_sourcelink = False


def as_list(app, what, name, obj, options, lines):
    """Lines such as "name: what it is", with further lines that hang, are arguments and errors: a list."""
    if not any(lines):
        logging.getLogger(__name__).warning("%s has no sentence", name)
    out, is_item = [], False
    for line in lines:
        item = re.match(r"(\w+(?:, \w+)*): (?=\S)", line)
        hangs = is_item and line.startswith("    ") and not line.lstrip().startswith(">>>")
        if bool(item) != is_item and not hangs and out and out[-1]:
            out.append("")
        is_item = bool(item) or hangs
        out.append(f"* **{item[1]}**: {line[item.end() :]}" if item else line[2:] if hangs else line)
    lines[:] = out


def setup(app):
    app.connect("autodoc-process-docstring", as_list)
