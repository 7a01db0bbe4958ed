# SPDX-License-Identifier: BSD-2-Clause
"""The plot of the lab: a panel for each resolver, a group of bars for each mitigation."""
import os
import sys

import rows
from resolvers import RESOLVERS

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(1, os.path.join(HERE, "..", "..", "test", "bench", "compare"))
import plots  # noqa: E402  pylint: disable=wrong-import-position

COLOURS = dict(zip(rows.TRANSPORTS, (plots.THEIRS, "#7fb3d9", plots.OURS, "#0b3c5d", "#27864d")))
PUBLISHED = "#c0392b"
BAR, GROUP_GAP, LEFT, TOP, PANEL, PANEL_GAP, RIGHT = 9, 12, 300, 78, 210, 26, 30


def groups(results):
    """Each row with the transports that were measured, and where it begins."""
    out, y = [], TOP + GROUP_GAP / 2
    for row in results.rows:
        transports = [transport for other, transport in results.places() if other is row and any(
            results.ratio(results.by_place.get((name, row.key, transport)))
            for name in results.resolvers)]
        if transports:
            out.append((row, transports, y))
            y += len(transports) * BAR + GROUP_GAP
    return out, y


def key():
    """Which colour is which transport."""
    parts, x = [plots.text(LEFT, 44, "TCP at the servers:")], LEFT + 122
    for transport, colour in COLOURS.items():
        parts += [f'<rect x="{x}" y="35" width="11" height="11" fill="{colour}"/>',
                  plots.text(x + 16, 45, transport)]
        x += 34 + 7 * len(transport)
    return parts + [plots.line(x + 4, 33, x + 4, 48, PUBLISHED, 'stroke-width="2"'),
                    plots.text(x + 12, 45, "published")]


def panel(results, name, left, bottom, limit, all_groups):
    def place(ratio):
        return left + ratio / limit * PANEL
    parts = [plots.text(left, TOP - 8, RESOLVERS[name].title, 'font-weight="bold"')]
    for value in plots.steps(limit, 4):
        x = place(value)
        parts += [plots.line(x, TOP, x, bottom, "#777" if value == 1 else "#ddd"),
                  plots.text(x, bottom + 16, f"{value:g}", 'text-anchor="middle"')]
    parts.append(plots.line(place(1), TOP, place(1), bottom, "#777", 'stroke-dasharray="4 3"'))
    for row, transports, y in all_groups:
        for number, transport in enumerate(transports):
            ratio = results.ratio(results.by_place.get((name, row.key, transport)))
            if ratio:
                parts.append(f'<rect x="{left}" y="{y + number * BAR:.1f}" height="{BAR - 1}" '
                             f'width="{place(ratio) - left:.1f}" fill="{COLOURS[transport]}"/>')
        for number in row.published:
            x = place(1 + number / 100)
            parts.append(plots.line(x, y - 3, x, y + len(transports) * BAR + 2, PUBLISHED,
                                    'stroke-width="2"'))
    return parts


def multiples(results):
    """The whole page."""
    all_groups, bottom = groups(results)
    found = [ratio for job in results.jobs if (ratio := results.ratio(job))]
    if not found:
        return plots.page(400, 60, [plots.text(10, 30, "nothing was measured")])
    limit = max(1.1, max(found) * 1.03)
    parts = [plots.text(10, 22, "Queries a second beside plain UDP (1): longer is better",
                        'font-weight="bold"'), *key()]
    for row, transports, y in all_groups:
        parts.append(plots.text(LEFT - 10, y + len(transports) * BAR / 2 + 4, row.name,
                                'text-anchor="end"'))
    left = LEFT
    for name in results.resolvers:
        parts += panel(results, name, left, bottom, limit, all_groups)
        left += PANEL + PANEL_GAP
    return plots.page(max(left + RIGHT, 860), int(bottom + 30), parts)
