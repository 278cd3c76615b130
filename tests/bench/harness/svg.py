"""Bar charts as SVG, written by hand: one bar a line, its name before it and its value behind it.

An SVG in a page follows the reader's system and not the page's theme, so a chart has a ground of its own: whichever
of the two sets of colours is taken, they belong together.
"""
import math
from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT, LINE, TOP, BOTTOM = 760, 190, 150, 26, 64, 40
STYLE = """
  .ground { fill: #ffffff } text { fill: #1f2328; font: 13px system-ui, sans-serif }
  .title { font-size: 15px; font-weight: 600 }
  .note, .tick { fill: #59636e; font-size: 12px } .grid { stroke: #d1d9e0 } .bound { stroke: #cf222e; stroke-width: 2 }
  .ours { fill: #0969da } .base { fill: #59636e } .other { fill: #afb8c1 } .over { fill: #cf222e }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117 } text { fill: #f0f6fc } .note, .tick { fill: #9198a1 } .grid { stroke: #3d444d }
    .bound { stroke: #f85149 } .ours { fill: #4493f8 } .base { fill: #9198a1 } .other { fill: #565e67 } .over { fill: #f85149 }
  }
"""


def bars(title, note, lines, ticks, log=False, bound=None):
    """A chart of lines (name, value, text behind the bar, class). `ticks` are the axis' labels; they span it."""
    low, high = ticks[0], ticks[-1]
    scale = math.log10 if log else float

    def x(value):
        share = (scale(max(value, low)) - scale(low)) / (scale(high) - scale(low))
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    height = TOP + LINE * len(lines) + BOTTOM
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
             f'role="img" aria-label="{escape(title)}">', f"<style>{STYLE}</style>",
             f'<rect class="ground" width="{WIDTH}" height="{height}" rx="6"/>',
             text(16, 26, title, "title"), text(16, 46, note, "note")]
    foot = TOP + LINE * len(lines) + 4
    for tick in ticks:
        parts.append(f'<line class="grid" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{TOP - 4}" y2="{foot}"/>')
        parts.append(text(x(tick), foot + 18, f"{tick:g}", "tick", "middle"))
    for at, (name, value, behind, kind) in enumerate(lines):
        y = TOP + LINE * at
        parts.append(text(LEFT - 10, y + 17, name, "", "end"))
        width = max(1.0, x(value) - LEFT)
        parts.append(f'<rect class="{kind}" x="{LEFT}" y="{y + 4}" width="{width:.1f}" height="{LINE - 8}" rx="2"/>')
        parts.append(text(x(value) + 8, y + 17, behind, ""))
    if bound is not None:
        parts.append(f'<line class="bound" x1="{x(bound):.1f}" x2="{x(bound):.1f}" y1="{TOP - 4}" y2="{foot}"/>')
    return "\n".join([*parts, "</svg>", ""])


def text(x, y, words, kind, anchor="start"):
    kind = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}"{kind}>{escape(words)}</text>'


def decades(low, high):
    """The powers of ten around two values."""
    return [10.0**n for n in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]


def steps(high):
    """Evenly from 0 beyond a value, in steps of a half, of one, or of so many as make at most eight."""
    step = next(s for s in (0.25, 0.5, 1, 2, 5, 10, 20, 50, 100) if high / s <= 8)
    return [step * n for n in range(math.ceil(high / step + 1e-9) + 1)]
