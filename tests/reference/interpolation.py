"""Slow twin of the interpolation weights between a grid and finer points."""


def interpolation(points, knots):
    """Row p: how much of each knot a straight line between neighbours takes at point p; constant beyond the ends."""
    rows = []
    for p in points:
        row = [0.0] * len(knots)
        if p <= knots[0]:
            row[0] = 1.0
        elif p >= knots[-1]:
            row[-1] = 1.0
        else:
            i = max(i for i in range(len(knots) - 1) if knots[i] <= p)
            row[i + 1] = (p - knots[i]) / (knots[i + 1] - knots[i])
            row[i] = 1.0 - row[i + 1]
        rows.append(row)
    return rows
