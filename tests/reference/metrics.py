"""Slow twins of the metrics, as section B of the method notes and Quantus put them."""

import math


def faithfulness(p_x, p_out):
    return p_x - p_out


def average_increase(p_x, p_in):
    return 100.0 if p_in - p_x > 1e-4 else 0.0


def average_drop(p_x, p_in):
    return 100.0 * max(p_x - p_in, 0.0) / p_x


def average_gain(p_x, p_in):
    return 100.0 * max(p_in - p_x, 0.0) / (1.0 - p_x)


def input_fidelity(p_x, p_in):
    first = lambda p: next(i for i, v in enumerate(p) if v == max(p))  # noqa: E731
    return 1.0 if first(p_x) == first(p_in) else 0.0


def gini(mask):
    """Half the mean absolute difference of all pairs, over the mean."""
    cells = [float(v) for v in mask]
    n, total = len(cells), sum(cells)
    return sum(abs(a - b) for a in cells for b in cells) / (2 * n * total)


def entropy(mask):
    total = sum(float(v) for v in mask)
    return -sum(v / total * math.log(v / total) for v in map(float, mask) if v > 0)


def average_drop_speechbrain(p_x, p_in, c):
    """The recipe softmaxes what is a softmax already."""
    again = lambda p: math.exp(p[c]) / sum(math.exp(v) for v in p)  # noqa: E731
    return 100.0 * max(again(p_x) - again(p_in), 0.0) / again(p_x)


def deletion(score, values, steps):
    """Score of each point of a deletion curve; `score` takes a mask as nested lists, `values` are nested lists."""
    width = len(values[0])
    cells = [(i, j) for i in range(len(values)) for j in range(width)]
    order = sorted(cells, key=lambda c: -values[c[0]][c[1]])  # stable: ties stay in reading order
    points = []
    for step in range(steps + 1):
        gone = set(order[: round(step * len(cells) / steps)])
        points.append(score([[0.0 if (i, j) in gone else 1.0 for j in range(width)] for i in range(len(values))]))
    return points


def insertion(score, values, steps):
    return deletion(lambda mask: score([[1.0 - v for v in row] for row in mask]), values, steps)


def trapezoid(x, y):
    return sum((b - a) * (c + d) / 2 for a, b, c, d in zip(x, x[1:], y, y[1:]))


def ssim(a, b, window=7):
    """Wang et al. 2004, window by window."""
    scale = lambda m: max(abs(v) for row in m for v in row)  # noqa: E731
    a, b = [[0.5 + v / scale(a) / 2 for v in row] for row in a], [[0.5 + v / scale(b) / 2 for v in row] for row in b]
    high, wide = min(window, len(a)), min(window, len(a[0]))
    found = []
    for i in range(len(a) - high + 1):
        for j in range(len(a[0]) - wide + 1):
            x = [a[i + k][j + m] for k in range(high) for m in range(wide)]
            y = [b[i + k][j + m] for k in range(high) for m in range(wide)]
            n, mx, my = len(x), sum(x) / len(x), sum(y) / len(y)
            vx, vy = sum((v - mx) ** 2 for v in x) / (n - 1), sum((v - my) ** 2 for v in y) / (n - 1)
            both = sum((v - mx) * (w - my) for v, w in zip(x, y)) / (n - 1)
            c1, c2 = 0.01**2, 0.03**2
            found.append((2 * mx * my + c1) * (2 * both + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2)))
    return sum(found) / len(found)
