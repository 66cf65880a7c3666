"""Deletion and insertion: the target's score as cells are removed or inserted in the order of an attribution.

Cells are ordered from the highest value to the lowest; of equal ones the lower in frequency comes first, then the earlier
in time. Deletion begins with everything and removes the first cells first; insertion begins with nothing. FF at top x % is
the drop after the top x % of the cells, at least one, are removed. Every mask is scored once;
`curve_passes` gives the number of passes beforehand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from otoscope.classifiers import Inspected
from otoscope.core.errors import NonFiniteError, ParameterError, ShapeError
from otoscope.core.registry import register
from otoscope.surgery import preserve_state

STEPS = 20
TOPS = (0.1, 0.2)
SCORES = ("probability", "log_odds")


@register(
    "metric", "deletion_auc", family="faithfulness", of="curve", short="Deletion", title="Area under the deletion curve",
    unit="", higher_is_better=False, low=0.0,
    high=1.0, source="petsiuk2018rise",
    means="Area under the target's probability as cells are removed, the highest attribution first.",
)  # fmt: skip
def deletion_auc(shares: np.ndarray, scores: np.ndarray) -> float:
    """Area under a deletion curve: low if the first removed cells carry the class.

    Parameters
    ----------
    shares : ndarray (point,)
        Share of the removed cells, rising from 0 to 1.
    scores : ndarray (point,)
        Probabilities of the target, or log-odds.

    Returns
    -------
    float
        In [0, 1] for probabilities; NaN where a score is NaN.

    Notes
    -----
    Source: petsiuk2018rise; trapezoids over the shares, and the empty mask is the domain's silence, no blur.
    """
    return _area(shares, scores)


@register(
    "metric", "insertion_auc", family="faithfulness", of="curve", short="Insertion", title="Area under the insertion curve",
    unit="", higher_is_better=True, low=0.0,
    high=1.0, source="petsiuk2018rise",
    means="Area under the target's probability as cells are put into silence, the highest attribution first.",
)  # fmt: skip
def insertion_auc(shares: np.ndarray, scores: np.ndarray) -> float:
    """Area under an insertion curve: high if the first inserted cells carry the class.

    Parameters
    ----------
    shares : ndarray (point,)
        Share of the inserted cells, rising from 0 to 1.
    scores : ndarray (point,)
        Probabilities of the target, or log-odds.

    Returns
    -------
    float
        In [0, 1] for probabilities; NaN where a score is NaN.

    Notes
    -----
    Source: petsiuk2018rise; as `deletion_auc`.
    """
    return _area(shares, scores)


@register(
    "metric", "ff_top", family="faithfulness", of="curve", short="FF top", title="Faithfulness of the top cells",
    unit="", higher_is_better=True, low=None, high=None, source="bolanos2025benchmarking",
    means="How much the target's log-odds drop when the top share of the cells is removed; ff_top_20 for 20 %.",
)  # fmt: skip
def ff_top(original_log_odds: float, removed_log_odds: float) -> float:
    """Drop of the target's log-odds after the cells of highest attribution were removed.

    Parameters
    ----------
    original_log_odds, removed_log_odds : float
        ``ln(p / (1 - p))`` of everything, and without the top cells, of which there is at least one.

    Notes
    -----
    Source: bolanos2025benchmarking, there of segments of time.
    """
    return original_log_odds - removed_log_odds


@register(
    "metric", "ff_top_probability", family="faithfulness", of="curve", short="FF top (p)", title="Probability drop of top cells",
    unit="", higher_is_better=True,
    low=-1.0, high=1.0, source="bolanos2025benchmarking",
    means="How much the target's probability drops when the top share of the cells is removed; ff_top_20_probability for 20 %.",
)  # fmt: skip
def ff_top_probability(original: float, removed: float) -> float:
    """Drop of the target's probability after the cells of highest attribution were removed.

    Parameters
    ----------
    original, removed : float in [0, 1]
        Probability of the target with everything, and without the top cells.

    Notes
    -----
    Source: bolanos2025benchmarking, there of log-odds and of segments of time.
    """
    return original - removed


def _area(shares: np.ndarray, scores: np.ndarray) -> float:
    x, y = np.asarray(shares, np.float64), np.asarray(scores, np.float64)
    if x.ndim != 1 or x.shape != y.shape or len(x) < 2:
        raise ShapeError(f"an area needs two or more points, one score a share; got shapes {x.shape} and {y.shape}")
    if not (np.diff(x) > 0).all():
        raise ParameterError("the shares of a curve must rise")
    return float((np.diff(x) * (y[1:] + y[:-1])).sum() / 2)


@dataclass(frozen=True, eq=False)
class Curves:
    """Deletion and insertion curves of a batch of clips.

    Parameters
    ----------
    shares : ndarray (point,)
        Share of the cells that is removed or put in, rising from 0 to 1.
    deletion, insertion : ndarray (clip, point)
        Probabilities of the target.
    deletion_log_odds, insertion_log_odds : ndarray (clip, point)
        Log-odds of the target.
    tops : mapping of float to (ndarray (clip,), ndarray (clip,))
        Share -> probability and log-odds after that top share was removed.

    Examples
    --------
    >>> shares, p = np.array([0.0, 1.0]), np.array([[0.8, 0.0]])
    >>> Curves(shares, p, 0.8 - p, p, p).measures()
    [{'deletion_auc': 0.4, 'insertion_auc': 0.4}]
    """

    shares: np.ndarray
    deletion: np.ndarray
    insertion: np.ndarray
    deletion_log_odds: np.ndarray
    insertion_log_odds: np.ndarray
    tops: dict[float, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)

    def measures(self, score: str = "probability") -> list[dict[str, float]]:
        """The numbers of each clip: ``deletion_auc``, ``insertion_auc`` and, for each top share, ``ff_top_X``
        (log-odds) and ``ff_top_X_probability``; the areas only where there were steps.

        Parameters
        ----------
        score : {"probability", "log_odds"}
            What the areas are of.
        """
        if score not in SCORES:
            raise ParameterError(f"curves are of {' or '.join(SCORES)}; got {score!r}")
        gone, come = (
            (self.deletion, self.insertion) if score == SCORES[0] else (self.deletion_log_odds, self.insertion_log_odds)
        )
        out = []
        for i in range(len(gone)):
            row = {}
            if len(self.shares) > 1:
                row["deletion_auc"] = deletion_auc(self.shares, gone[i])
                row["insertion_auc"] = insertion_auc(self.shares, come[i])
            for share, (probability, log_odds) in self.tops.items():
                name = top_name(share)
                row[name] = ff_top(float(self.deletion_log_odds[i, 0]), float(log_odds[i]))
                row[f"{name}_probability"] = ff_top_probability(float(self.deletion[i, 0]), float(probability[i]))
            out.append(row)
        return out


def top_name(share: float) -> str:
    """The column of FF at a top share: ``ff_top_20`` for 0.2, ``ff_top_2_5`` for 0.025."""
    return "ff_top_" + f"{100 * share:.6g}".replace(".", "_")


def curve_passes(cells: int, steps: int = STEPS, tops: Sequence[float] = TOPS) -> int:
    """Passes through the classifier for the curves of one clip.

    Parameters
    ----------
    cells : int
        Of the grid; where there are fewer than steps, each is a step.
    steps : int
        0 for no curves.
    tops : sequence of float
        Top shares of the cells, in (0, 1).

    Examples
    --------
    >>> curve_passes(cells=320, steps=20, tops=())
    40
    """
    return len(_masks(cells, steps, tops))


def curves(
    inspected: Inspected,
    values: np.ndarray | Tensor,
    targets: np.ndarray | Tensor | Sequence[int],
    steps: int = STEPS,
    tops: Sequence[float] = TOPS,
    batch_size: int = 16,
    tick: Callable[[int], object] = lambda _n: None,
) -> Curves:
    """Deletion and insertion curves, and FF at top x %, of the clips of an inspected classifier.

    Parameters
    ----------
    inspected : Inspected
        The classifier behind a domain, with a batch of clips.
    values : ndarray (clip, freq, frame)
        The clips' attributions.
    targets : sequence of int
        One class a clip.
    steps : int
        Equal steps in the share of cells; 0 for FF alone.
    tops : sequence of float in (0, 1)
        Top shares of the cells for FF.
    batch_size : int
        Most masked clips in one pass.
    tick : callable
        Called with the number of passes done.

    Returns
    -------
    Curves
        Without steps, its curves have one point: nothing removed.

    Raises
    ------
    ShapeError, ParameterError, NonFiniteError
        If the attributions do not fit the grid, are not finite, or a setting is out of range.

    Notes
    -----
    Source: petsiuk2018rise, bolanos2025benchmarking.

    Examples
    --------
    >>> from otoscope.domains import make_domain
    >>> model = otoscope.wrap(torch.nn.Linear(16000, 2), sample_rate=16000, labels=["yes", "no"])
    >>> inspected = Inspected(model, make_domain("time"), torch.rand(1, 16000))
    >>> curves(inspected, np.random.rand(1, 1, 10), [0], steps=5).deletion.shape
    (1, 6)
    """
    ranks, wanted = _ranks(inspected, values), _targets(inspected, targets)
    cells = int(ranks[0].numel())
    keys = _masks(cells, steps, tops)
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ParameterError(f"batch_size must be a whole number of at least 1; got {batch_size!r}")
    found: dict[Key, np.ndarray] = {key: np.full((2, inspected.batch), np.nan) for key in keys}
    pairs = [(key, clip) for key in keys for clip in range(inspected.batch)]
    with preserve_state(inspected.classifier), torch.no_grad():
        for start in range(0, len(pairs), batch_size):
            chunk = pairs[start : start + batch_size]
            index = torch.tensor([clip for _, clip in chunk], device=ranks.device)
            logits = inspected(_built([key for key, _ in chunk], ranks[index]), index)
            for (key, clip), pair in zip(chunk, _scores(inspected, logits, wanted[index]), strict=True):
                found[key][:, clip] = pair
            tick(len(chunk))
    return _collected(found, cells, steps, tops)


Key = tuple[bool, int]  # (whether the top cells are kept, how many): (False, 3) is everything but the top 3


def _masks(cells: int, steps: int, tops: Sequence[float]) -> list[Key]:
    """Every mask once. Keeping none is removing all, and the other way round."""
    counts = _counts(cells, steps)
    keys = [(False, n) for n in counts] + [(True, n) for n in counts if 0 < n < cells]
    for share in tops:
        if not (isinstance(share, int | float) and 0 < share < 1):
            raise ParameterError(f"a top share must lie between 0 and 1; got {share!r}")
        keys.append((False, _top(cells, share)))
    if not keys:
        raise ParameterError("steps is 0 and tops is empty; pass steps of the curves or top shares")
    return list(dict.fromkeys([(False, 0), *keys]))


def _top(cells: int, share: float) -> int:
    """How many cells are the top share: at least one, else few cells would have no drop."""
    return max(1, round(share * cells))


def _counts(cells: int, steps: int) -> list[int]:
    """How many cells each point of the curves removes."""
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or not 0 <= steps <= 10_000:
        raise ParameterError(f"steps must be a whole number from 0 to 10000; got {steps!r}")
    return sorted({round(i * cells / steps) for i in range(steps + 1)}) if steps else []


def _ranks(inspected: Inspected, values: np.ndarray | Tensor) -> Tensor:
    """Place of every cell in the order of its clip: 0 for the highest value."""
    given = torch.as_tensor(values).detach().to(inspected.waveform.device)
    shape = (inspected.batch, *inspected.grid.shape)
    if tuple(given.shape) != shape:
        raise ShapeError(
            f"attributions have shape {tuple(given.shape)}, but the clips and their {inspected.grid.domain} grid require {shape}"
        )
    if not torch.isfinite(given).all():
        raise NonFiniteError("an attribution holds NaN or infinity, so its cells have no order")
    order = given.flatten(1).argsort(dim=1, descending=True, stable=True)
    return order.argsort(dim=1).view(shape)


def _targets(inspected: Inspected, targets: np.ndarray | Tensor | Sequence[int]) -> Tensor:
    wanted = torch.as_tensor(np.asarray(targets), device=inspected.waveform.device)
    classes = len(inspected.classifier.labels)
    if wanted.shape != (inspected.batch,) or wanted.is_floating_point():
        raise ShapeError(f"{inspected.batch} clips need as many integer targets; got {targets!r}")
    if len(wanted) and not 0 <= int(wanted.min()) <= int(wanted.max()) < classes:
        raise ParameterError(f"targets must be class numbers from 0 to {classes - 1}; got {targets!r}")
    return wanted


def _built(keys: list[Key], ranks: Tensor) -> Tensor:
    counts = torch.tensor([n for _, n in keys], device=ranks.device)[:, None, None]
    kept = torch.tensor([top for top, _ in keys], device=ranks.device)[:, None, None]
    return ((ranks < counts) == kept).float()


def _scores(inspected: Inspected, logits: Tensor, targets: Tensor) -> np.ndarray:
    """Probability and log-odds of the targets, ``(row, 2)``; the latter from the logits, so that nothing saturates."""
    probability = inspected.classifier.probabilities(logits).gather(1, targets[:, None])[:, 0]
    exact = logits.double()
    log_odds = exact.gather(1, targets[:, None])[:, 0]
    if not inspected.classifier.multilabel:
        log_odds = log_odds - exact.scatter(1, targets[:, None], -torch.inf).logsumexp(1)
    return torch.stack([probability.double(), log_odds], 1).cpu().numpy()


def _collected(found: dict[Key, np.ndarray], cells: int, steps: int, tops: Sequence[float]) -> Curves:
    counts = _counts(cells, steps) or [0]
    gone = np.stack([found[False, n] for n in counts], -1)
    come = np.full_like(gone, np.nan)
    if steps:
        come = np.stack([found[False, cells - n] if n in (0, cells) else found[True, n] for n in counts], -1)
    after = {share: found[False, _top(cells, share)] for share in tops}
    tops_found = {share: (pair[0], pair[1]) for share, pair in after.items()}
    return Curves(np.array(counts) / cells, gone[0], come[0], gone[1], come[1], tops_found)
