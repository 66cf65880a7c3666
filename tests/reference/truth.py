"""Slow twins of the truth metrics, cell by cell."""

import itertools
import math


def auc(values, inside):
    """Share of all pairs of a cell inside and one outside that are in order; ties count half."""
    ins, outs = ([v for v, t in zip(values, inside) if bool(t) is side] for side in (True, False))
    return sum((a > b) + (a == b) / 2 for a in ins for b in outs) / (len(ins) * len(outs))


def average_precision(values, inside):
    """Each threshold's precision, weighted by the recall that it adds."""
    total, before, area = sum(map(bool, inside)), 0.0, 0.0
    for threshold in sorted(set(values), reverse=True):
        taken = [bool(t) for v, t in zip(values, inside) if v >= threshold]
        recall = sum(taken) / total
        area += (recall - before) * sum(taken) / len(taken)
        before = recall
    return area


def precision_recall_f1(mask, inside, energy):
    hit = sum(m * i * e for m, i, e in zip(mask, inside, energy))
    kept, true = sum(m * e for m, e in zip(mask, energy)), sum(i * e for i, e in zip(inside, energy))
    p, r = hit / kept, hit / true
    return p, r, 2 * p * r / (p + r) if p + r else 0.0


def relevance_mass(values, inside):
    return sum(max(v, 0) * i for v, i in zip(values, inside)) / sum(max(v, 0) for v in values)


def pointing(values, inside, tolerance):
    """Share of the largest cells with a true cell within reach; nested lists."""
    cells = [(i, j) for i in range(len(values)) for j in range(len(values[0]))]
    high = max(values[i][j] for i, j in cells)
    largest = [c for c in cells if values[c[0]][c[1]] == high]
    true = [c for c in cells if inside[c[0]][c[1]]]
    hit = lambda a: any(max(abs(a[0] - b[0]), abs(a[1] - b[1])) <= tolerance for b in true)  # noqa: E731
    return sum(map(hit, largest)) / len(largest)


def active(edges, events, covered, fine=40):
    """Cover of each frame, and by each frame of the events that are shorter than it, by points of the whole clip."""
    frames = list(itertools.pairwise(edges))
    points = [[a + (k + 0.5) * (b - a) / fine for k in range(fine)] for a, b in frames]
    hit = [[any(s <= t < e for s, e in events) for t in row] for row in points]
    runs = [(on, list(run)) for on, run in itertools.groupby(itertools.chain(*points), lambda t: _in(t, events))]
    out = []
    for row, hits in zip(points, hit):
        held = [sum(row[0] <= t <= row[-1] for t in run) / len(run) for on, run in runs if on and len(run) < fine]
        whole = sum(hits) / fine > covered or any(h > covered for h in held)
        out.append(1.0 if whole else math.nan if any(hits) else 0.0)
    return out


def _in(t, events):
    return any(s <= t < e for s, e in events)


def average_precision_of_chance(inside):
    """Mean over all orders of the cells."""
    found = [average_precision(list(order), inside) for order in itertools.permutations(range(len(inside)))]
    return sum(found) / len(found)


def iou(shown, true):
    return sum(a and b for a, b in zip(shown, true)) / sum(a or b for a, b in zip(shown, true))
