# SPDX-License-Identifier: BSD-2-Clause
"""Plots as SVG, made by hand: bars with their spread, and lines over two logarithmic axes."""
import math
from xml.sax.saxutils import escape

FONT = 'font-family="sans-serif" font-size="12"'
OURS, THEIRS, CEILING = "#1b6ca8", "#b0b7bf", "#d9a441"
LINES = ("#1b6ca8", "#c0392b", "#27864d", "#8e44ad", "#d98d1f", "#2c3e50", "#16a085", "#7f5539",
         "#e377c2", "#7f7f7f", "#bcbd22", "#17becf")
BAR, GAP, LEFT, PLOT, RIGHT, TOP = 18, 8, 190, 520, 110, 44


def text(x, y, content, more=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" {FONT} {more}>{escape(content)}</text>'


def line(x1, y1, x2, y2, colour="#333", more=""):
    return (f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
            f'stroke="{colour}" {more}/>')


def page(width, height, parts):
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}">\n<rect width="100%" height="100%" fill="white"/>\n'
            + "\n".join(parts) + "\n</svg>\n")


def steps(limit, count=5):
    """Round numbers from 0 to about the limit."""
    rough = limit / count
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough)
    return [step * i for i in range(int(limit / step) + 1)]


def bars(title, unit, rows):
    """Horizontal bars. A row: (name, spread, colour); shorter is better."""
    if not rows:
        return page(400, 60, [text(10, 30, title + ": nothing was measured")])
    limit = max(spread["max"] for _, spread, _ in rows) * 1.02
    height = TOP + len(rows) * (BAR + GAP) + 34
    bottom = height - 34
    parts = [text(10, 22, title, 'font-weight="bold"')]
    for value in steps(limit):
        x = LEFT + value / limit * PLOT
        parts += [line(x, TOP - 6, x, bottom, "#ddd"),
                  text(x, bottom + 16, f"{value:g}", 'text-anchor="middle"')]
    for number, (name, spread, colour) in enumerate(rows):
        y = TOP + number * (BAR + GAP)
        ends = [LEFT + spread[key] / limit * PLOT for key in ("min", "median", "max")]
        middle = y + BAR / 2
        parts += [text(LEFT - 8, middle + 4, name, 'text-anchor="end"'),
                  f'<rect x="{LEFT}" y="{y}" width="{ends[1] - LEFT:.1f}" height="{BAR}" '
                  f'fill="{colour}"/>', line(ends[0], middle, ends[2], middle),
                  line(ends[0], middle - 4, ends[0], middle + 4),
                  line(ends[2], middle - 4, ends[2], middle + 4),
                  text(ends[2] + 6, middle + 4, f"{spread['median']:.2f}")]
    parts.append(text(LEFT + PLOT / 2, bottom + 31, unit, 'text-anchor="middle"'))
    return page(LEFT + PLOT + RIGHT, height, parts)


class Axis:
    """Logarithmic, from one place to another."""

    def __init__(self, values, start, end):
        self.low = math.floor(math.log10(min(values)) * 2) / 2
        self.high = max(math.ceil(math.log10(max(values)) * 2) / 2, self.low + 0.5)
        self.start, self.end = start, end

    def place(self, value):
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def marks(self):
        for power in range(math.floor(self.low), math.ceil(self.high) + 1):
            for factor in (1, 2, 5):
                value = factor * 10.0 ** power
                if self.low - 1e-9 <= math.log10(value) <= self.high + 1e-9:
                    yield value


def short(value):
    for limit, unit in ((1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:g}{unit}"
    return f"{value:g}"


def lines(title, x_unit, y_unit, curves):
    """Curves over logarithmic axes. A curve: (name, [(x, y), ...])."""
    curves = [(name, [(x, y) for x, y in points if x > 0 and y > 0]) for name, points in curves]
    curves = [(name, sorted(points)) for name, points in curves if points]
    if not curves:
        return page(400, 60, [text(10, 30, title + ": nothing was measured")])
    width, height, left, bottom = 900, 460, 80, 400
    across = Axis([x for _, points in curves for x, _ in points], left, 640)
    up = Axis([y for _, points in curves for _, y in points], bottom, 50)
    parts = [text(10, 22, title, 'font-weight="bold"')]
    for value in across.marks():
        x = across.place(value)
        parts += [line(x, 50, x, bottom, "#ddd"),
                  text(x, bottom + 18, short(value), 'text-anchor="middle"')]
    for value in up.marks():
        y = up.place(value)
        parts += [line(left, y, 640, y, "#ddd"),
                  text(left - 8, y + 4, short(value), 'text-anchor="end"')]
    for number, (name, points) in enumerate(curves):
        colour = LINES[number % len(LINES)]
        style = 'stroke-width="2"' + (' stroke-dasharray="6 3"' if number >= len(LINES) else "")
        places = [(across.place(x), up.place(y)) for x, y in points]
        parts.append(f'<polyline fill="none" stroke="{colour}" {style} points="'
                     + " ".join(f"{x:.1f},{y:.1f}" for x, y in places) + '"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        key = 60 + number * 20
        parts += [line(656, key, 680, key, colour, style), text(686, key + 4, name)]
    parts += [text(360, bottom + 40, x_unit, 'text-anchor="middle"'),
              text(0, 0, y_unit, 'text-anchor="middle" transform="translate(18 225) rotate(-90)"')]
    return page(width, height, parts)
