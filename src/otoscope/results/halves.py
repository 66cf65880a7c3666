"""Which clips choose the masks and which are reported: halves of the clips that each panel has, with whole sources in one half."""

from __future__ import annotations

import numpy as np

from otoscope.results.groups import Cells
from otoscope.results.read import Rows

SOURCE = "source"
STRATA = ("condition", "classifier")


def sources_of(rows: Rows, cells: Cells) -> tuple[str, ...]:
    """The source of each clip, ``(clip,)``: what its rows name in the column ``source``, else the clip itself.

    Clips of one source (one pair of sounds mixed at several ratios, say) are not independent.
    """
    out = [f"clip {clip}" for clip in cells.clips]
    if SOURCE in rows.columns:
        named = rows.words(SOURCE)
        filled = np.array([bool(name) for name in named.names])[named.codes]
        for clip, code in dict(zip(cells.clip[filled].tolist(), named.codes[filled].tolist(), strict=True)).items():
            out[clip] = f"source {named.names[code]}"
    return tuple(out)


def split_panels(rows: Rows, cells: Cells, panel_of: np.ndarray, seed: int | None = None) -> np.ndarray:
    """The clips on which masks are chosen, ``(panel, clip)`` bool; a panel's other clips are reported.

    Parameters
    ----------
    rows : Rows
    cells : Cells
    panel_of : ndarray (group,), int
        The panel of each group of the cells.
    seed : int, optional
        Draws the halves; without one, every second source in sorted order.
    """
    _, source = np.unique(sources_of(rows, cells), return_inverse=True)
    strata = np.zeros(len(rows), np.int64)
    for name in STRATA:
        words = rows.words(name)
        strata = strata * len(words.names) + words.codes
    panel = panel_of[cells.groups.of]
    out = []
    for place in range(int(panel_of.max()) + 1):
        mine = cells.ok & (panel == place)
        present = np.zeros((len(set(strata[mine].tolist())), len(cells.clips)), bool)
        _, stratum = np.unique(strata[mine], return_inverse=True)
        present[stratum, cells.clip[mine]] = True
        out.append(choosing_half(present, source, seed) & present.any(0))
    return np.array(out)


def choosing_half(present: np.ndarray, source: np.ndarray, seed: int | None = None) -> np.ndarray:
    """The clips of one panel on which masks are chosen, ``(clip,)`` bool.

    Parameters
    ----------
    present : ndarray (stratum, clip), bool
        Which clips each condition and classifier of the panel has; each is halved, and a clip is in one half everywhere.
    source : ndarray (clip,), int
        All clips of one source go into one half.
    seed : int, optional
        Draws the half; without one, every second source beginning with the first. A source that is alone is reported.
    """
    side = np.zeros(int(source.max(initial=-1)) + 1, np.int64)  # 1 chooses, -1 is reported
    for clips in present:
        mine = np.unique(source[clips])
        if seed is not None:
            mine = mine[np.random.default_rng(seed).permutation(len(mine))]
        chosen = int(side[mine].sum()) + (1 if len(mine) == 1 else 0)
        for one in mine[side[mine] == 0]:
            side[one] = -1 if chosen > 0 else 1
            chosen += side[one]
    return np.asarray(side[source] > 0)
