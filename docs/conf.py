"""The settings of Sphinx; `make docs` builds the site from this folder."""

import os
from pathlib import Path

# Airflow writes a configuration where it is imported, which is not to be the user's own.
os.environ["AIRFLOW_HOME"] = str(Path(__file__).parent.parent / "build" / "airflow")
os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "ERROR"

# Imported here, as autodoc would do so with TYPE_CHECKING set, for which pydantic's models are not made.
import airflow_pixverse.api.accounts  # noqa: F401
import airflow_pixverse.api.results  # noqa: F401
import airflow_pixverse.simulator  # noqa: F401
from airflow_pixverse import __version__

project = "airflow-pixverse"
author = "The airflow-pixverse authors"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_llm.txt"]
source_suffix = {".md": "markdown"}
html_theme = "furo"
html_title = f"airflow-pixverse {release}"
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#6d28d9", "color-brand-content": "#6d28d9"},
    "dark_css_variables": {"color-brand-primary": "#c4b5fd", "color-brand-content": "#c4b5fd"},
}
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False

myst_enable_extensions = ["attrs_block", "colon_fence", "fieldlist"]
myst_heading_anchors = 4

add_module_names = False
autodoc_default_options = {"exclude-members": "model_config, model_post_init"}
autodoc_member_order = "bysource"
autodoc_typehints = "none"
python_maximum_signature_line_length = 80
python_use_unqualified_type_names = True
toc_object_entries_show_parents = "hide"

# Types of other projects have pages of their own, which a build without a network cannot look up.
nitpick_ignore_regex = [
    (r"py:.*", r"(airflow|collections|datetime|pydantic|requests|typing)\..*"),
    # What is not public has no page.
    (
        r"py:.*",
        r"(.*\._\w+|Deadline|(?!Pixverse)\w+Error|airflow_pixverse\.(api\.sanitizer|simulator|testing)\b.*)",
    ),
]

llms_txt_description = (
    "Apache Airflow provider for the PixVerse video service behind useapi.net: "
    "wait for a free slot, submit a job, store its result, make a table of prompts as one task, "
    "and never pay twice."
)
llms_txt_suppress_unknown_node_warnings = True
