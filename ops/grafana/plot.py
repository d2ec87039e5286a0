"""Draw panels of the Grafana dashboard beside this file, from a real Prometheus, as SVG.

python ops/grafana/plot.py http://127.0.0.1:9090 docs/pictures/dashboard.svg

Needs nothing but Python. Draws what Grafana would ask, over the last minutes.
"""

import argparse
import json
import math
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Final

DASHBOARD: Final = Path(__file__).with_name("dashboard.json")
WIDTH, HEIGHT, ACROSS = 420, 270, 3
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 34, 58
COLOURS: Final = (
    "#3274d9", "#e0752d", "#3f9142", "#b84592", "#8f8a00", "#0a9396", "#c4162a",
    "#5b5b8c",
)  # fmt: skip
STYLE: Final = (
    "text{font:11px sans-serif;fill:#3c4250}.title{font-weight:600;font-size:13px}"
    ".grid{stroke:#e3e6ec}.line{fill:none;stroke-width:1.6}"
)
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Line:
    """One series: its legend, and (Unix seconds, value) pairs."""

    name: str
    points: Points


def ask(prometheus: str, path: str, **parameters: object) -> Any:
    """Return the result of an API call. Raises OSError, or ValueError if refused."""
    query = urllib.parse.urlencode(parameters)
    with urllib.request.urlopen(  # noqa: S310 - the operator names the server
        f"{prometheus}/api/v1/{path}?{query}", timeout=30
    ) as answer:
        found = json.load(answer)
    if found["status"] != "success":
        raise ValueError(found.get("error", "refused"))
    return found["data"]["result"]


def expressions(panel: Any, *, interval: str) -> Iterator[tuple[str, str]]:
    """Yield (query, legend) of a panel, Grafana's variable replaced."""
    for target in panel["targets"]:
        yield (
            target["expr"].replace("$__rate_interval", interval),
            target["legendFormat"],
        )


def legend(form: str, labels: dict[str, str]) -> str:
    """Fill {{label}} in."""
    for name, value in labels.items():
        form = form.replace("{{" + name + "}}", value)
    return form.strip()


def lines(
    prometheus: str, panel: Any, *, start: float, end: float, interval: str
) -> list[Line]:
    """Return what the panel would show."""
    step = max(1.0, (end - start) / 180)
    found = []
    for query, form in expressions(panel, interval=interval):
        for series in ask(
            prometheus, "query_range", query=query, start=start, end=end, step=step
        ):
            values = [(float(at), float(value)) for at, value in series["values"]]
            points = [point for point in values if math.isfinite(point[1])]
            if points:
                found.append(Line(legend(form, series["metric"]), points))
    return found


def nice(top: float) -> float:
    """Return a round number that is not below."""
    if top <= 0:
        return 1.0
    unit = 10.0 ** math.floor(math.log10(top))
    return next(unit * n for n in (1, 2, 2.5, 5, 10) if unit * n >= top * 0.999)


def worded(value: float, unit: str) -> str:
    """Return a value in words of its unit."""
    if unit == "s":
        return f"{value * 1000:.3g} ms" if value < 1 else f"{value:.4g} s"
    if unit == "percentunit":
        return f"{value * 100:.4g} %"
    suffix = {"ops": "/s", "reqps": "/s"}.get(unit, "")
    return f"{value:.4g}{suffix}"


def drawn(panel: Any, found: Sequence[Line], *, start: float, end: float) -> str:
    """Return one panel as a group of SVG."""
    unit = panel["fieldConfig"]["defaults"]["unit"]
    top = nice(max((v for line in found for _, v in line.points), default=0.0))
    high, wide = HEIGHT - TOP - BOTTOM, WIDTH - LEFT - RIGHT
    parts = [f'<text class="title" x="12" y="20">{escape(panel["title"])}</text>']
    for n in range(5):
        y = TOP + high * (1 - n / 4)
        said = escape(worded(top * n / 4, unit))
        parts.append(
            f'<path class="grid" d="M{LEFT} {y:.1f}h{wide}"/>'
            f'<text x="{LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{said}</text>'
        )
    for n, line in enumerate(found):
        path = "L".join(
            f"{LEFT + wide * (at - start) / (end - start):.1f} "
            f"{TOP + high * (1 - value / top):.1f}"
            for at, value in line.points
        )
        colour = COLOURS[n % len(COLOURS)]
        parts.append(f'<path class="line" stroke="{colour}" d="M{path}"/>')
    parts += _legend(found)
    return "".join(parts)


def _legend(found: Sequence[Line]) -> Iterator[str]:
    x, y = LEFT, HEIGHT - BOTTOM + 18
    for n, line in enumerate(found):
        needs = 20 + 6.2 * len(line.name)
        if x + needs > WIDTH - RIGHT and x > LEFT:
            x, y = LEFT, y + 14
        if y > HEIGHT - 4:
            return
        colour = COLOURS[n % len(COLOURS)]
        yield (
            f'<rect x="{x:.0f}" y="{y - 8}" width="10" height="4" fill="{colour}"/>'
            f'<text x="{x + 14:.0f}" y="{y - 2}">{escape(line.name)}</text>'
        )
        x += int(needs) + 8


def picture(panels: Sequence[tuple[Any, Sequence[Line]]], *, span: Points) -> str:
    """Return a whole SVG; `span` holds the two ends of the time shown."""
    (start, _), (end, _) = span
    rows = -(-len(panels) // ACROSS)
    size = f'width="{WIDTH * ACROSS}" height="{HEIGHT * rows}"'
    box = f'viewBox="0 0 {WIDTH * ACROSS} {HEIGHT * rows}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {box}>',
        f"<style>{STYLE}</style>",
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    for n, (panel, found) in enumerate(panels):
        x, y = WIDTH * (n % ACROSS), HEIGHT * (n // ACROSS)
        body = drawn(panel, found, start=start, end=end)
        parts.append(f'<g transform="translate({x} {y})">{body}</g>')
    return "".join(parts) + "</svg>\n"


def main() -> None:
    """Ask and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prometheus", help="its address, http://host:port")
    parser.add_argument("picture", type=Path)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--ago", type=float, default=0.0, help="minutes since its end")
    parser.add_argument("--interval", default="20s", help="for $__rate_interval")
    parser.add_argument("--panels", type=int, help="only the first so many")
    chosen = parser.parse_args()
    end = time.time() - chosen.ago * 60  # noqa: TID251 - the present is drawn
    start = end - chosen.minutes * 60
    board = json.loads(DASHBOARD.read_text("utf-8"))
    panels = [
        (
            panel,
            lines(
                chosen.prometheus.rstrip("/"),
                panel,
                start=start,
                end=end,
                interval=chosen.interval,
            ),
        )
        for panel in board["panels"][: chosen.panels]
    ]
    chosen.picture.write_text(picture(panels, span=[(start, 0.0), (end, 0.0)]), "utf-8")


if __name__ == "__main__":
    main()
