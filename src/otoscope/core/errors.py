"""Errors: each states what came, what was expected and what to do, in one line.

Every class is a child of `OtoscopeError` and of the built-in error that a Python programmer would expect. Each can also be
made from its finished message alone: that is how pickle, and the worker processes of torch, build an error again.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class OtoscopeError(Exception):
    """Anything that Otoscope refuses or cannot do; the command line prints it in one line.

    Examples
    --------
    >>> try:
    ...     otoscope.load_audio("missing.wav")
    ... except otoscope.OtoscopeError as error:
    ...     print(type(error).__name__)
    AudioReadError
    """


class ParameterError(OtoscopeError, ValueError):
    """A value of the wrong type, range or form."""


class ShapeError(OtoscopeError, ValueError):
    """Arrays or tensors whose shapes do not fit together."""


class AudioReadError(OtoscopeError, OSError):
    """A sound that cannot be read.

    Parameters
    ----------
    source : str
        The path, or a word for what it was (``"array"``, ``"bytes"``).
    reason : str, optional
        What is wrong with it and what to do; without one, ``source`` is the whole message.
    """

    def __init__(self, source: object, reason: str | None = None):
        super().__init__(str(source) if reason is None else f"cannot read {source}: {reason}")
        self.source, self.reason = ("", str(source)) if reason is None else (str(source), reason)


class WriteError(OtoscopeError, OSError):
    """A file that cannot be written; nothing is left under its final name.

    Parameters
    ----------
    target : path-like
        The file.
    reason : str, optional
        Why not; without one, ``target`` is the whole message.
    """

    def __init__(self, target: object, reason: str | None = None):
        super().__init__(str(target) if reason is None else f"cannot write {target}: {reason}")
        self.target, self.reason = ("", str(target)) if reason is None else (str(target), reason)


class UnknownNameError(OtoscopeError, LookupError):
    """A name that is not there; the nearest ones are offered.

    Parameters
    ----------
    kind : str
        Kind of the thing, e.g. ``"method"``.
    name : str
        The name that came.
    known : iterable of str, optional
        The names that exist; without them, ``kind`` is the whole message.
    """

    def __init__(self, kind: str, name: object = "", known: Iterable[str] | None = None):
        self.kind, self.name, self.nearest = kind, name, list[str]()
        if known is None:
            super().__init__(kind)
            return
        names = list(known)
        lowered = {n.lower(): n for n in names}
        near = difflib.get_close_matches(str(name).lower(), list(lowered), n=3, cutoff=0.5)
        if near:
            hint = "did you mean " + " or ".join(repr(lowered[n]) for n in near) + "?"
        elif names:
            shown = ", ".join(n or repr(n) for n in names[:12]) + (", ..." if len(names) > 12 else "")
            hint = f"there are {shown}"
        else:
            hint = "none is registered"
        super().__init__(f"unknown {kind} {name!r}; {hint}")
        self.nearest = [lowered[n] for n in near]


class UnsupportedError(OtoscopeError, NotImplementedError):
    """A combination that cannot work, such as Grad-CAM on a domain without feature maps."""


class WeightsError(OtoscopeError, ValueError):
    """Weights that are missing, damaged, unsafe or of another shape."""


class DownloadError(OtoscopeError, ConnectionError):
    """A file that could not be fetched."""


class MissingExtraError(OtoscopeError, ImportError):
    """An optional package that is not installed.

    Parameters
    ----------
    package : str
        Name on PyPI of the package that is missing. Without ``extra``, this is the whole message.
    extra : str
        The extra of Otoscope that includes the package.
    purpose : str
        What needs the package, as the subject of a sentence.
    """

    def __init__(self, package: str, extra: str = "", purpose: str = ""):
        install = f"install it with: pip install {package} (or, in a checkout of Otoscope: pip install '.[{extra}]')"
        super().__init__(f"{purpose} needs the package {package!r}; {install}" if extra else package)
        self.package, self.extra = package, extra


class DeviceMemoryError(OtoscopeError, MemoryError):
    """The device ran out of memory; the message names the batch size that failed."""


class NonFiniteError(OtoscopeError, ArithmeticError):
    """NaN or infinity where a number was needed."""
