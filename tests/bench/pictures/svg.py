"""Draws charts as SVG: a page of one width, text, lines, bars and steps, in light or dark colours.

Text is 16 of 520 units wide, so that it has 12 pixels where a phone shows the picture 400 pixels wide.
"""

from xml.sax.saxutils import escape, quoteattr

WIDTH = 520
TEXT = 16
TITLE = 20
LINE = 21  # from one line of text to the next
MARGIN = 14
FONT = "system-ui, -apple-system, 'Segoe UI', 'Noto Sans', 'DejaVu Sans', Helvetica, Arial, sans-serif"
NARROW = " .,:;'|/()fiIjlrt"

# Ours and the peers' differ in brightness as well as in hue, for those who tell few hues apart.
THEMES = {
    "light": {
        "page": "#ffffff", "text": "#1f2328", "faint": "#59636e", "grid": "#d8dee4",
        "ours": "#0b5cad", "peer": "#e08a2c", "other": "#7a7f87", "on peer": "#16181c",
        "right": "#0b4a8f", "right cell": "#d7e8fa", "wrong": "#8a3206", "wrong cell": "#fde3cd",
    },
    "dark": {
        "page": "#0d1117", "text": "#f0f6fc", "faint": "#a5aeb9", "grid": "#30363d",
        "ours": "#6cb6ff", "peer": "#c77b29", "other": "#8b949e", "on peer": "#0d1117",
        "right": "#9ccbff", "right cell": "#12304f", "wrong": "#ffb77a", "wrong cell": "#4a2a10",
    },
}  # fmt: skip


def number(value):
    """With at most two digits after the point, and none that says nothing."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


class Picture:
    """A page that grows downwards: y is where the next thing goes."""

    def __init__(self, theme, title):
        self.colours = THEMES[theme]
        self.title = " ".join(title)
        self.parts = []
        self.y = MARGIN
        for line in title:
            self.y += 25
            self.text(MARGIN, self.y, line, size=TITLE, weight="600")
        self.y += 8

    def text(self, x, y, words, colour="text", anchor="start", size=TEXT, weight="400"):
        """A line. One that a wide font would not get onto the page is refused."""
        width = size * sum(0.33 if letter in NARROW else 0.62 for letter in words)
        if anchor == "start" and x + width > WIDTH:
            raise ValueError(f"too long by {x + width - WIDTH:.0f}: {words}")
        self.parts.append(
            f'<text x="{number(x)}" y="{number(y)}" fill="{self.colours[colour]}" font-size="{size}"'
            f' font-weight="{weight}" text-anchor="{anchor}">{escape(words)}</text>'
        )

    def lines(self, *all_words, colour="faint"):
        for words in all_words:
            self.y += LINE
            self.text(MARGIN, self.y, words, colour)

    def bar(self, x, y, width, height, colour):
        self.parts.append(
            f'<rect x="{number(x)}" y="{number(y)}" width="{number(width)}" height="{number(height)}"'
            f' fill="{self.colours[colour]}"/>'
        )

    def line(self, points, colour, width=1.0, dash=""):
        path = " ".join(f"{number(x)},{number(y)}" for x, y in points)
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(
            f'<polyline points="{path}" fill="none" stroke="{self.colours[colour]}"'
            f' stroke-width="{number(width)}"{dashes}/>'
        )

    def svg(self):
        height = number(self.y + MARGIN)
        return "\n".join([
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
            f' role="img" aria-label={quoteattr(self.title)} font-family="{FONT}">',
            f'<rect width="{WIDTH}" height="{height}" fill="{self.colours["page"]}"/>',
            *self.parts,
            "</svg>",
            "",
        ])  # fmt: skip


class Plot:
    """Axes within a picture: grid lines with their numbers, and points in the units of the data."""

    def __init__(self, picture, left, height, x_ticks, y_ticks, x_unit, y_unit):
        self.picture = picture
        self.left, self.right = left, WIDTH - MARGIN
        self.top, self.bottom = picture.y + 2 * LINE, picture.y + 2 * LINE + height
        self.x_ticks, self.y_ticks = x_ticks, y_ticks
        picture.text(MARGIN, picture.y + LINE, y_unit, "faint")
        for tick in y_ticks:
            y = self.at(0, tick)[1]
            picture.line([(left, y), (self.right, y)], "grid")
            picture.text(left - 8, y + 5, number(tick), "faint", "end")
        for tick in x_ticks:
            x = self.at(tick, 0)[0]
            anchor = "end" if tick == x_ticks[-1] else "middle"
            words = f"{number(tick)} {x_unit}" if tick == x_ticks[-1] else number(tick)
            picture.text(x, self.bottom + LINE, words, "faint", anchor)
        picture.y = self.bottom + LINE + 4

    def at(self, x, y):
        return (
            self.left + (self.right - self.left) * (x - self.x_ticks[0]) / (self.x_ticks[-1] - self.x_ticks[0]),
            self.bottom - (self.bottom - self.top) * (y - self.y_ticks[0]) / (self.y_ticks[-1] - self.y_ticks[0]),
        )

    def line(self, points, colour, width, dash=""):
        self.picture.line([self.at(x, y) for x, y in points], colour, width, dash)

    def steps(self, points, colour, width, dash=""):
        """Of what is counted: it stays until the next point, then jumps."""
        corners = [points[0]]
        for (_, before), (x, y) in zip(points, points[1:]):
            corners += [(x, before), (x, y)]
        self.line(corners, colour, width, dash)
