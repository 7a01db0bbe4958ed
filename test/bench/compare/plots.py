# SPDX-License-Identifier: BSD-2-Clause
"""Plots as SVG, made by hand: bars with their spread, and panels of lines over logarithmic axes."""
import math
from xml.sax.saxutils import escape

FONT = 'font-family="sans-serif" font-size="12"'
OURS, THEIRS, CEILING = "#1b6ca8", "#b0b7bf", "#d9a441"
# Curves: blues and greens are ours, all else is others'; where there are more, dashes.
OUR_LINES = ("#1b6ca8", "#27864d", "#0b3c5d", "#16a085", "#4aa3df", "#7cb518")
THEIR_LINES = ("#c0392b", "#d98d1f", "#8e44ad", "#7f5539", "#e377c2", "#555555", "#b5a000",
               "#a3a3a3")
DASHES = ("none", "7 3", "2 3")
BAR, GAP, LEFT, PLOT, RIGHT, TOP = 18, 8, 190, 520, 110, 44


def looks(ours, theirs):
    """Colour and dash of each, the same in all plots."""
    return {name: (colours[number % len(colours)], DASHES[number // len(colours) % len(DASHES)])
            for names, colours in ((ours, OUR_LINES), (theirs, THEIR_LINES))
            for number, name in enumerate(names)}


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
        self.low = math.floor(math.log10(min(values)) * 4) / 4
        self.high = max(math.ceil(math.log10(max(values)) * 4) / 4, self.low + 0.5)
        self.start, self.end = start, end

    def place(self, value):
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def marks(self):
        # Over many powers of ten, one mark for each is enough.
        factors = (1, 2, 5) if self.high - self.low <= 3 else (1, 3)
        for power in range(math.floor(self.low), math.ceil(self.high) + 1):
            for factor in factors:
                value = factor * 10.0 ** power
                if self.low - 1e-9 <= math.log10(value) <= self.high + 1e-9:
                    yield value, short(value)


class ShareAxis(Axis):
    """Of shares of all: 0.9, 0.99 and 0.999 are equally far apart."""

    def place(self, value):
        return super().place(1 / (1 - value))

    def marks(self):
        for text_of in ("0", "50", "90", "99", "99.9", "99.99"):
            value = float(text_of) / 100
            if self.low - 1e-9 <= math.log10(1 / (1 - value)) <= self.high + 1e-9:
                yield value, text_of + " %"


def short(value):
    for limit, unit in ((1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:g}{unit}"
    return f"{value:g}"


PANEL, PANEL_GAP, PANEL_TOP, PANEL_HEIGHT, KEY = 440, 36, 70, 380, 250


def curve(points, colour, dash):
    style = f'stroke-width="1.8" stroke-dasharray="{dash}"'
    return [f'<polyline fill="none" stroke="{colour}" {style} points="'
            + " ".join(f"{x:.1f},{y:.1f}" for x, y in points) + '"/>'] + [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>' for x, y in points]


def frame(left, across, up, x_unit, subtitle, has_marks):
    """Grid, marks and words of a panel."""
    bottom, right = PANEL_TOP + PANEL_HEIGHT, left + PANEL
    parts = [text(left, PANEL_TOP - 10, subtitle, 'font-weight="bold"')]
    for value, mark in across.marks():
        x = across.place(value)
        parts += [line(x, PANEL_TOP, x, bottom, "#ddd"),
                  text(x, bottom + 18, mark, 'text-anchor="middle"')]
    for value, mark in up.marks():
        y = up.place(value)
        parts.append(line(left, y, right, y, "#ddd"))
        if has_marks:
            parts.append(text(left - 8, y + 4, mark, 'text-anchor="end"'))
    parts += [line(left, bottom, right, bottom), line(left, PANEL_TOP, left, bottom),
              text(left + PANEL / 2, bottom + 40, x_unit, 'text-anchor="middle"')]
    return parts


def lines(title, x_unit, y_unit, panels, is_share=False):
    """Panels beside each other, all axes logarithmic, the vertical one shared. A panel: (name,
    [curve]); a curve: (name, colour, dash, [(x, y), ...]). is_share: x are shares of all."""
    panels = [(name, [(*about, [(x, y) for x, y in sorted(points) if y > 0])
                      for *about, points in curves]) for name, curves in panels]
    every = [point for _, curves in panels for *_, points in curves for point in points]
    if not every:
        return page(400, 60, [text(10, 30, title + ": nothing was measured")])
    kind, abscissas = (ShareAxis, [1 / (1 - x) for x, _ in every]) if is_share else \
        (Axis, [x for x, _ in every])
    up = Axis([y for _, y in every], PANEL_TOP + PANEL_HEIGHT, PANEL_TOP)
    parts = [text(10, 24, title, 'font-weight="bold"')]
    left = 70
    for number, (name, curves) in enumerate(panels):
        across = kind(abscissas, left, left + PANEL)
        parts += frame(left, across, up, x_unit, name, number == 0)
        for _, colour, dash, points in curves:
            parts += curve([(across.place(x), up.place(y)) for x, y in points], colour, dash)
        left += PANEL + PANEL_GAP
    keys = dict.fromkeys(tuple(about) for _, curves in panels for *about, points in curves
                         if points)
    for number, (name, colour, dash) in enumerate(keys):
        y = PANEL_TOP + 6 + number * 19
        parts += [line(left - 12, y, left + 18, y, colour,
                       f'stroke-width="2" stroke-dasharray="{dash}"'), text(left + 24, y + 4, name)]
    middle = PANEL_TOP + PANEL_HEIGHT / 2
    parts.append(text(0, 0, y_unit, f'text-anchor="middle" transform="translate(18 {middle:.0f}) '
                                    'rotate(-90)"'))
    return page(left + KEY, max(PANEL_TOP + PANEL_HEIGHT + 56, PANEL_TOP + 20 + len(keys) * 19),
                parts)
