"""Mask specs: parse, check, apply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from otoscope.core import registry
from otoscope.core.errors import NonFiniteError, ParameterError, UnknownNameError
from otoscope.core.records import Attribution, Mask
from otoscope.masks.functions import smooth

SMOOTHING = {
    "smooth_time": registry.Parameter("smooth_time", float, 0.0, "Gaussian smoothing in time, seconds", 0.0, 10.0),
    "smooth_freq": registry.Parameter("smooth_freq", float, 0.0, "Gaussian smoothing in frequency, bands", 0.0, 100.0),
}
EXACT, QUANTILE, DEVIATION, RAW = "exact", "quantile", "deviation", "raw"
# Forms as published; each is a fact of the masks that have it.
VARIANTS = {
    "ties": registry.Parameter(
        "ties", str, EXACT, "which of equal cells a top-k mask keeps", choices=(EXACT, QUANTILE)
    ),
    "scale": registry.Parameter(
        "scale", str, DEVIATION, "what a sigmoid mask divides the attribution by", choices=(DEVIATION, RAW)
    ),
}
OPTIONS = {**SMOOTHING, **VARIANTS}


@dataclass(frozen=True)
class MaskSpec:
    """A mask function with its settings.

    Parameters
    ----------
    name : str
        Name of the mask function.
    settings : mapping
        Every setting of the mask function, with its value.
    smooth_time : float, s
        Standard deviation of Gaussian smoothing in time; 0 is none.
    smooth_freq : float, bands
        Standard deviation of Gaussian smoothing in frequency; 0 is none.
    ties : {"exact", "quantile"}
        For masks that keep a share of the cells: exactly that share, or all cells that reach the quantile, as published.
    scale : {"deviation", "raw"}
        For sigmoid masks: of the attribution over its size, or of the attribution itself, as published.

    Examples
    --------
    >>> str(MaskSpec("topk", {"keep": 0.3}, smooth_time=0.05))
    'topk:0.3,smooth_time=0.05'
    """

    name: str
    settings: Mapping[str, Any]
    smooth_time: float = 0.0
    smooth_freq: float = 0.0
    ties: str = EXACT
    scale: str = DEVIATION

    def __str__(self) -> str:
        text = ":".join([self.name, *map(_spec, self.settings.values())])
        for key in SMOOTHING:
            value = getattr(self, key)
            text += f",{key}={_spec(value)}" if value else ""
        return text + "".join(f",{key}={getattr(self, key)}" for key in self.variants)

    @property
    def variants(self) -> tuple[str, ...]:
        """Options by which the mask is the published form."""
        return tuple(key for key, option in VARIANTS.items() if getattr(self, key) != option.default)


def _spec(value: Any) -> str:
    """A setting in the shortest text that reproduces it to the last digit."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:g}" if float(f"{value:g}") == value else repr(value)


def parse_mask(spec: str | MaskSpec) -> MaskSpec:
    """A spec such as ``topk:0.3,smooth_time=0.05``.

    Raises
    ------
    UnknownNameError
        With the nearest names.
    ParameterError
        If a value is missing, too many or out of range, or an option does not apply to the mask.

    Examples
    --------
    >>> str(parse_mask("positive:threshold:0.25"))
    'positive:threshold:0.25'
    """
    if isinstance(spec, MaskSpec):
        return spec
    if not isinstance(spec, str) or not spec.strip():
        raise ParameterError(f"a mask is written like 'topk:0.3'; got {spec!r}")
    head, *options = [part.strip() for part in spec.split(",")]
    name, values = _name_and_values(head)
    entry = registry.get("mask", name)
    if len(values) > len(entry.parameters):
        takes = ", ".join(p.name for p in entry.parameters) or "no value"
        raise ParameterError(f"mask {name!r} takes {takes}; got {':'.join(values)!r}")
    settings = entry.settings({p.name: v for p, v in zip(entry.parameters, values, strict=False)})
    chosen = dict(_option(option) for option in options)
    made = MaskSpec(name, settings, **chosen)
    for key in made.variants:
        if chosen[key] not in entry.facts:
            able = ", ".join(e.name for e in registry.entries("mask") if chosen[key] in e.facts)
            raise ParameterError(
                f"the option {key}={chosen[key]} does not apply to the mask {name!r}; it is for {able}"
            )
    if entry.facts["searched"] and (chosen.get("smooth_time") or chosen.get("smooth_freq")):
        raise ParameterError(
            f"mask {name!r} is searched for and cannot be smoothed; leave out smooth_time and smooth_freq"
        )
    return made


def _name_and_values(head: str) -> tuple[str, list[str]]:
    """Split at the longest registered name."""
    parts = head.split(":")
    known = set(registry.names("mask"))
    for n in range(len(parts), 0, -1):
        if ":".join(parts[:n]) in known:
            return ":".join(parts[:n]), parts[n:]
    raise UnknownNameError("mask", head, registry.names("mask"))


def _option(option: str) -> tuple[str, Any]:
    key, found, value = (part.strip() for part in option.partition("="))
    if key not in OPTIONS:
        raise UnknownNameError("mask option", key, OPTIONS)
    if not found:
        raise ParameterError(f"mask option {key!r} needs a value: {key}={_spec(OPTIONS[key].default)}")
    return key, OPTIONS[key].check(value, "mask")


def to_mask(attribution: Attribution, spec: str | MaskSpec) -> Mask:
    """The mask of an attribution.

    Parameters
    ----------
    attribution : Attribution
        The attribution, finite.
    spec : str or MaskSpec
        The mask function with its settings, such as ``topk:0.3``.

    Returns
    -------
    Mask
        Values in [0, 1].

    Raises
    ------
    NonFiniteError
        If the attribution holds NaN or infinity.

    Examples
    --------
    >>> grid = otoscope.Grid(np.array([100.0, 300.0]), np.array([0.5]), "hz", "stft", 1.0, 400.0)
    >>> to_mask(Attribution(np.array([[0.5], [-0.1]]), grid, "lime"), "topk:0.5").values.tolist()
    [[1.0], [0.0]]
    """
    parsed = parse_mask(spec)
    values = np.asarray(attribution.values, dtype=np.float64)
    if not np.isfinite(values).all():
        bad = int((~np.isfinite(values)).sum())
        raise NonFiniteError(
            f"{bad} of {values.size} cells of the {attribution.method} attribution are NaN or infinite"
        )
    entry = registry.get("mask", parsed.name)
    make = entry.target
    for key in parsed.variants:
        make = entry.facts[getattr(parsed, key)]
    mask = make(values, **parsed.settings)
    times = attribution.grid.times
    step = float(times[1] - times[0]) if len(times) > 1 else 1.0
    mask = smooth(mask, parsed.smooth_freq, parsed.smooth_time / step)
    return Mask(np.clip(mask, 0.0, 1.0).astype(np.float32), attribution.grid, str(parsed))
