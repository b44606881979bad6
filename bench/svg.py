"""Self-contained .svg pictures, written as they are drawn. They look like docs/causal.svg."""

NEAR, FAR, LATER, GREY, INK = "#4a90ce", "#f08c32", "#c8323c", "#9aa4ad", "#222"


def number(x):
    return f"{x:.2f}".rstrip("0").rstrip(".")


def escaped(words):
    return words.replace("&", "&amp;").replace("<", "&lt;")


class Drawing:
    def __init__(self, width, height):
        self.width, self.height, self.parts = width, height, []

    def text(self, x, y, words, size=13, fill=INK, anchor="start", bold=False, turned=False):
        more = " font-weight='bold'" if bold else ""
        if turned:
            more += f" transform='rotate(-90 {number(x)} {number(y)})'"
        self.parts.append(
            f"<text x='{number(x)}' y='{number(y)}' font-size='{size}' fill='{fill}' "
            f"text-anchor='{anchor}'{more}>{escaped(words)}</text>"
        )

    def box(self, x, y, width, height, fill, opacity=1.0):
        self.parts.append(
            f"<rect x='{number(x)}' y='{number(y)}' width='{number(width)}' "
            f"height='{number(height)}' fill='{fill}'"
            + (f" fill-opacity='{opacity}'" if opacity != 1 else "")
            + " shape-rendering='crispEdges'/>"
        )

    def cells(self, x, y, size, places, fill):
        """One path of squares at (column, row) of a grid whose step is `size`, a little apart."""
        path = "".join(f"M{column} {row}h.92v.92h-.92z" for column, row in places)
        self.parts.append(
            f"<path transform='translate({number(x)} {number(y)}) scale({size})' "
            f"fill='{fill}' d='{path}'/>"
        )

    def line(self, points, stroke="#555", thickness=1.0, dashed=False):
        path = " ".join(f"{number(x)},{number(y)}" for x, y in points)
        self.parts.append(
            f"<polyline points='{path}' fill='none' stroke='{stroke}' stroke-width='{thickness}'"
            + (" stroke-dasharray='5 4'" if dashed else "")
            + "/>"
        )

    def mark(self, x, y, fill, shape="circle", radius=4.5):
        x, y, r, side = number(x), number(y), number(radius), number(2 * radius)
        left, top = number(float(x) - radius), number(float(y) - radius)
        cross = f"M{left} {top}l{side} {side}m0 -{side}l-{side} {side}"
        outline = f"stroke='{fill}' stroke-width"
        shapes = {
            "circle": f"<circle cx='{x}' cy='{y}' r='{r}' fill='{fill}'/>",
            "ring": f"<circle cx='{x}' cy='{y}' r='{r}' fill='white' {outline}='2'/>",
            "square": f"<rect x='{left}' y='{top}' width='{side}' height='{side}' fill='{fill}'/>",
            "cross": f"<path d='{cross}' {outline}='2.4'/>",
        }
        self.parts.append(shapes[shape])

    def save(self, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        width, height = number(self.width), number(self.height)
        path.write_text(
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' "
            f"width='{width}' height='{height}' font-family='sans-serif'>\n"
            "<rect width='100%' height='100%' fill='white'/>\n"
            + "\n".join(self.parts)
            + "\n</svg>\n"
        )
