"""mkdocs hooks: pages from the registry, tables and helps in written pages, citations."""

from __future__ import annotations

import os
import sys
from typing import Any

# Local use only: mkdocs puts this file's folder on the path while it loads the hook.
import make_pages
from mkdocs.structure.files import File, Files

_made: dict[str, str] = {}


def on_config(config: Any) -> Any:
    """Make the pages, and put those of the methods into the navigation."""
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
    """Add the pages that are made; a written page of the same path would be hidden, so it is an error."""
    for path, text in _made.items():
        if files.get_file_from_path(path) is not None:
            sys.exit(f"docs/{path} is written by hand, but it is made from the registry; remove it")
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Fill in tables, helps, pictures and citations."""
    return make_pages.fill(markdown, page.file.src_uri)
