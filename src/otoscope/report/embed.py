"""How our pages carry their scripts, styles and data: nothing from outside, nothing that breaks out of its place."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable
from importlib import resources
from typing import Any

import numpy as np


def array(values: np.ndarray, dtype: str) -> dict[str, Any]:
    """Little-endian bytes in base64, with their shape."""
    values = np.ascontiguousarray(values, dtype=dtype)
    return {"shape": list(values.shape), "dtype": dtype, "base64": base64.b64encode(values.tobytes()).decode("ascii")}


def json_text(value: Any) -> str:
    """JSON that cannot end a script element, whatever its strings hold."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def policy(style: str, script: str, parts: bool = False) -> str:
    """Content security policy: our script and style by their hashes, sounds in the page's folder, nothing from elsewhere.

    Parameters
    ----------
    parts : bool
        Whether our script may load further scripts, which carry data.
    """

    def digest(text: str) -> str:
        return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii") + "'"

    more = " 'strict-dynamic'" if parts else ""
    return (
        f"default-src 'none'; script-src {digest(script)}{more}; style-src {digest(style)}; img-src data: blob:; "
        f"media-src 'self' file: data: blob:; base-uri 'none'; form-action 'none'"
    )


def asset(name: str) -> str:
    """The text of one of our assets."""
    return resources.files(__package__).joinpath("assets", name).read_text(encoding="utf-8")


def script_of(names: Iterable[str]) -> str:
    """Our scripts as one, in a scope of its own."""
    return "(() => {\n'use strict';\n" + "\n".join(asset(name) for name in names) + "\n})();\n"
