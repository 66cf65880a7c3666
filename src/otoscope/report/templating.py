"""Pages from templates: one jinja2 environment that escapes everything; scripts, styles and data are embedded.

All pages extend ``layout.html.jinja`` and take their parts from ``macros.html.jinja``.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources
from typing import Any
from urllib.parse import quote

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from otoscope.report import formatting

UNSHOWABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def showable(value: Any) -> Any:
    """Text in which what no page can show (control characters, lone surrogates) is replaced; markup stays."""
    return value if hasattr(value, "__html__") else UNSHOWABLE.sub("\ufffd", str(value))


def paragraphs(text: object) -> list[str]:
    """The paragraphs of a text, which empty lines separate."""
    return [part.strip() for part in re.split(r"\n\s*\n", str(text or "")) if part.strip()]


def quoted(path: object) -> str:
    """A path as a relative address."""
    return quote(str(path), safe="/", errors="surrogateescape")


def nested(value: Any) -> bool:
    """Whether a value of a record is a table, or a list that holds tables or lists."""
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(v, dict | list) for v in value))


@cache
def environment() -> Environment:
    """The environment of all templates: autoescape on, unknown names are errors.

    Filters: those of `formatting`, ``paragraphs``, and ``quoted`` (a path as an address). Test: ``nested``.
    """
    made = Environment(
        loader=PackageLoader("otoscope.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=showable,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    for name in ("percent", "number", "fixed", "seconds", "decibels", "kilohertz", "finite"):
        made.filters[name] = getattr(formatting, name)
    made.filters |= {"paragraphs": paragraphs, "quoted": quoted}
    made.tests["nested"] = nested
    return made


def render_page(
    template: str,
    *,
    styles: Sequence[str],
    scripts: Sequence[str],
    data: Any = None,
    loads_parts: bool = False,
    connects: bool = False,
    **contents: Any,
) -> str:
    """A page as one HTML text that asks for nothing from outside.

    Parameters
    ----------
    template : str
        Name of a template that extends ``layout.html.jinja``.
    styles, scripts : sequence of str
        Names of the assets that the page carries, in order.
    data : JSON-able value, optional
        What the page's script reads.
    loads_parts : bool
        Whether the page's script may load further scripts, which carry data.
    connects : bool
        Whether the page's script may ask the server that the page came from.
    **contents
        What the template shows. Every string is escaped.
    """
    style, script = "".join(map(asset, styles)), script_of(scripts)
    page = environment().get_template(template)
    text = page.render(
        csp=policy(style, script, parts=loads_parts, connects=connects),
        style=Markup(style),
        script=Markup(script),
        data=None if data is None else Markup(json_text(data)),
        **contents,
    )
    return text.encode("utf-8", "backslashreplace").decode("utf-8")  # a file name may hold bytes that are not text


# --- scripts, styles, data -------------------------------------------------------------------------------------------


def array(values: np.ndarray, dtype: str) -> dict[str, Any]:
    """An array for a page's script: little-endian bytes in base64, with shape and type."""
    values = np.ascontiguousarray(values, dtype=dtype)
    return {"shape": list(values.shape), "dtype": dtype, "base64": base64.b64encode(values.tobytes()).decode("ascii")}


def json_text(value: Any) -> str:
    """JSON that cannot end a script element, whatever its strings hold."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def policy(style: str, script: str, parts: bool = False, connects: bool = False) -> str:
    """Content security policy: our script and style by their hashes, sounds in the page's folder, nothing from elsewhere.

    With ``parts``, our script may load further scripts, which carry data; with ``connects``, it may ask the page's server.
    """

    def digest(text: str) -> str:
        return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii") + "'"

    more = " 'strict-dynamic'" if parts else ""
    asks = "connect-src 'self'; " if connects else ""
    return (
        f"default-src 'none'; script-src {digest(script)}{more}; style-src {digest(style)}; img-src data: blob:; "
        f"media-src 'self' file: data: blob:; {asks}base-uri 'none'; form-action 'none'"
    )


def asset(name: str) -> str:
    """The text of one of our assets."""
    return resources.files("otoscope.report").joinpath("assets", name).read_text(encoding="utf-8")


def script_of(names: Iterable[str]) -> str:
    """Our scripts as one, in a scope of its own."""
    return "(() => {\n'use strict';\n" + "\n".join(asset(name) for name in names) + "\n})();\n"
