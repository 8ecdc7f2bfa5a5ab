"""A small histogram with a threshold, as SVG.

A filter run has dozens of them, and matplotlib takes 0.3 s for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

_WIDTH, _HEIGHT = 680, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 14, 22, 38
_TICKS = 4


def histogram(
    shares: Sequence[float], *, end: float, threshold: float, highest: float, label: str
) -> str:
    """One `<svg>`: bars of equal width from 0 to `end`, cut off at `highest`, and a line at the
    threshold.

    Args:
        shares: of all values, by bin (0-1).
        end: the value where the last bin ends.
        threshold: where the line stands.
        highest: the share at the top of the axis (above 0).
        label: what the values are.
    """
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    floor = _TOP + height
    bar = width / len(shares)
    parts = [
        f'<svg role="img" viewBox="0 0 {_WIDTH} {_HEIGHT}" xmlns="http://www.w3.org/2000/svg" '
        'font-family="system-ui, sans-serif" font-size="11" fill="currentColor">',
        f"<title>{escape(label)}</title>",
    ]
    for tick in range(_TICKS + 1):
        share = tick / _TICKS
        x, y = _LEFT + share * width, floor - share * height
        parts.append(
            f'<path d="M{_LEFT} {y:.1f}H{_LEFT + width}" stroke="var(--grid, #8883)"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{share * highest:.2%}</text>'
            f'<text x="{x:.1f}" y="{floor + 15}" text-anchor="middle">{share * end:g}</text>'
        )
    for place, share in enumerate(shares):
        if tall := min(share / highest, 1.0) * height:
            parts.append(
                f'<rect x="{_LEFT + place * bar:.1f}" y="{floor - tall:.1f}" '
                f'width="{bar - 1:.1f}" height="{tall:.1f}" fill="var(--series-1, #2f6fd0)"/>'
            )
    x = _LEFT + min(threshold / end, 1.0) * width
    parts.append(
        f'<path d="M{x:.1f} {_TOP - 6}V{floor}" stroke="var(--series-2, #d9822b)" '
        'stroke-width="2"/>'
        f'<text x="{x:.1f}" y="{_TOP - 10}" text-anchor="middle">threshold {threshold:g}</text>'
        f'<text x="{_LEFT + width / 2:.1f}" y="{_HEIGHT - 6}" text-anchor="middle">'
        f"{escape(label)}</text></svg>"
    )
    return "".join(parts)
