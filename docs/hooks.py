"""mkdocs hooks: pages generated from the registry; tables, help texts and citations in written pages."""

from __future__ import annotations

import os
import sys
from typing import Any

# Local use only: mkdocs puts this file's folder on the path while it loads the hook.
import make_pages
from mkdocs.structure.files import File, Files

_made: dict[str, str] = {}


def on_config(config: Any) -> Any:
    """Generate the pages, and add those of the methods to the navigation."""
    _made.clear()
    _made.update(make_pages.generated_pages())
    methods = [page for page in _made if page.startswith("methods/") and page != "methods/index.md"]
    for section in config.nav or []:
        if isinstance(section, dict) and section.get("Methods") == "methods/index.md":
            section["Methods"] = ["methods/index.md", *({_title(page): page} for page in methods)]
    return config


def _title(page: str) -> str:
    return os.path.basename(page).removesuffix(".md")


def on_files(files: Files, config: Any) -> Files:
    """Add the generated pages; a written page at the same path would be hidden, so it is an error."""
    for path, text in _made.items():
        if files.get_file_from_path(path) is not None:
            sys.exit(f"docs/{path} exists, but this page is generated from the registry; remove the file")
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Fill in tables, help texts, images and citations."""
    return make_pages.fill(markdown, page.file.src_uri)
