"""The atlas as Markdown and as a drawing, for docs/evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from engine import api_rows, catalogue
from engine.figures import theme
from engine.search import longer
from engine.search.atlas import Atlas
from engine.search.longer import Pair
from engine.search.ranking import FEWEST_PAIRS, FEWEST_UNITS, RESAMPLES, TRUSTED, Agreement

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 720, 440, 64, 56, 16, 190
SAID = {"clear": "yes", "likely": "yes, with care", "weak": "no", "unsure": "no: too uncertain", "few": "too few"}
KNOBS = {"labels": "labelled images", "schedule": "moment of pruning", "weight": "teacher's weight"}
Row = Mapping[str, Any]


def report(found: Atlas, rows: Sequence[Row], about: Row) -> str:
    """The whole page; ``rows`` as they are written into the atlas."""
    lines = ["# Short runs and long ones", ""]
    lines += [f"Written by `make evidence` ({about['machine']}, {about['date']}): {len(rows)} recipes of Fashion-MNIST "
              "at a short and at eight times that budget, accuracy of the artifact on the 5,000 validation images. "
              "`sample_data/atlas.json` holds all runs; the page Front shows them beside your own.", ""]  # fmt: skip
    pairs = longer.pairs(found.of(about["task"]))
    direction = str(catalogue.current().row("tasks", about["task"])["direction"])
    for (short, long), some in longer.steps(pairs).items():
        lines += [f"## {short} epochs against {long}", "", "![Accuracy after the long run against accuracy after the "
                  "short one](atlas.svg)", "", *_table(some, direction), "", *_meaning(), ""]  # fmt: skip
    return "\n".join([*lines, "## Every run", "", *_runs(rows), ""])


def _table(some: Sequence[Pair], direction: str) -> list[str]:
    compared = [("all recipes with all", longer.whole(some, direction)),
                ("recipes of one student", longer.whole(some, direction, "student"))]  # fmt: skip
    compared += [(f"{KNOBS.get(k.knob, k.knob)}: {', '.join(k.values)}", k.agreement)
                 for k in longer.knobs(some, direction)]  # fmt: skip
    head = ["compared", "pairs", "units", "Spearman", "95 %", "cost of the short winner", "of the best 3", "trust"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return [*lines, *(_line(name, agreement) for name, agreement in compared)]


def _line(name: str, found: Agreement) -> str:
    cells = [name, str(found.pairs), str(found.units)]
    if found.spearman is None or found.low is None or found.high is None:
        cells += ["", "", "", ""]
    else:
        cells += [f"**{found.spearman:.2f}**", f"{found.low:.2f} to {found.high:.2f}"]
        low, high = (100 * (v or 0.0) for v in (found.regret_low, found.regret_high))
        cells += [f"{100 * (found.regret or 0.0):.2f} ({low:.2f} to {high:.2f})", f"{100 * dict(found.tops)[3]:.2f}"]
    return "| " + " | ".join([*cells, SAID[found.verdict]]) + " |"


def _meaning() -> list[str]:
    return [
        "*Spearman* is the rank correlation of short and long accuracy. For one setting only recipes are compared that "
        "are equal in all else; their group's mean is taken off both. The interval is a percentile bootstrap "
        f"({RESAMPLES:,} draws) over *units*: what shares a training is drawn together. *Cost*: the points of accuracy "
        "that are lost when the winner of the short runs is taken instead of the best of the long ones, and what is "
        "left of that when the best three of the short runs are tried for longer (for one setting the mean over its "
        f"groups). Advice is withheld below a rank correlation of {TRUSTED}, where the interval holds 0, and with "
        f"fewer than {FEWEST_PAIRS} pairs or {FEWEST_UNITS} units. One training run each: what another seed would give "
        "shows in the row *seed*.",
    ]  # fmt: skip


def _runs(rows: Sequence[Row]) -> list[str]:
    lines = ["| student | recipe | short | long | gain |", "|---|---|---|---|---|"]
    for row in rows:
        short, long = row["short"], row["long"]
        lines.append(f"| `{row['recipe']['student']}` | {words(row['recipe'])} | {short['quality']:.4f} | "
                     f"{long['quality']:.4f} | {100 * (long['quality'] - short['quality']):+.2f} |")  # fmt: skip
    return lines


def words(recipe: Row) -> str:
    """What sets a recipe of the atlas apart."""
    row = api_rows.settings(recipe)
    said = [str(row["loss"])]
    said += [f"temperature {row['temperature']:g}"] if row["temperature"] else []
    said += [f"weight {row['weight']:g}"] if row["weight"] is not None else []
    said += [f"{row['labels']} labels"] if row["labels"] else []
    if row["sparsity"]:
        at_once = "before training" if recipe["phases"][0]["stages"] else "after training"
        said.append(f"{row['sparsity']:.0%} zeros {'while training' if row['schedule'] == 'gradual' else at_once}")
    said += [f"{row['bits']} bits"] if row["bits"] < 32 else []
    said += [f"seed {row['seed']}"] if row["seed"] else []
    return ", ".join(said)


def drawing(found: Atlas) -> str:
    """Long against short accuracy as an SVG, one colour and symbol a student."""
    pairs = longer.pairs(list(found.runs))
    students = list(dict.fromkeys(p.short.recipe["student"] for p in pairs))
    xs, ys = ([100 * getattr(p, side).quality for p in pairs] for side in ("short", "long"))
    x, y = _scale(xs, LEFT, WIDTH - RIGHT), _scale(ys, HEIGHT - BOTTOM, TOP)
    light = theme.LIGHT
    parts = [f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>']
    parts += [_tick(x(v), None, f"{v} %") for v in _ticks(xs)] + [_tick(None, y(v), f"{v} %") for v in _ticks(ys)]
    colours = (light.front, light.slower, light.teacher, light.baseline, light.dense, light.shipped, light.muted,
               light.selected)  # fmt: skip
    for pair, a, b in zip(pairs, xs, ys, strict=True):
        place = students.index(pair.short.recipe["student"])
        parts.append(_mark(x(a), y(b), place, colours[place % len(colours)]))
    for place, student in enumerate(students):
        at = TOP + 14 + 22 * place
        parts.append(_mark(WIDTH - RIGHT + 24, at, place, colours[place % len(colours)]))
        parts.append(f'<text x="{WIDTH - RIGHT + 38}" y="{at + 4}">{escape(student)}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 12}" text-anchor="middle">accuracy after the short run</text>')
    parts.append(f'<text transform="translate(16 {(HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">'
                 "accuracy after the long run</text>")  # fmt: skip
    font = 'font-family="system-ui, sans-serif" font-size="13" fill="#222"'
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" {font} role="img">'
            f"<title>{len(pairs)} recipes, short against long</title>" + "".join(parts) + "</svg>\n")  # fmt: skip


def _scale(values: Sequence[float], start: float, end: float) -> Any:
    low, high = min(values), max(values)
    margin = 0.05 * (high - low or 1.0)
    return lambda v: round(start + (v - low + margin) / (high - low + 2 * margin) * (end - start), 1)


def _ticks(values: Sequence[float]) -> list[int]:
    low, high = min(values), max(values)
    step = next(s for s in (1, 2, 5, 10, 20) if (high - low) / s <= 8)
    return [v for v in range(int(low) - step, int(high) + 1) if v % step == 0 and low <= v <= high]


def _tick(x: float | None, y: float | None, text: str) -> str:
    if x is not None:
        return (f'<path d="M{x} {TOP}V{HEIGHT - BOTTOM}" stroke="#e3e6ea"/>'
                f'<text x="{x}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{text}</text>')  # fmt: skip
    return (f'<path d="M{LEFT} {y}H{WIDTH - RIGHT}" stroke="#e3e6ea"/>'
            f'<text x="{LEFT - 8}" y="{(y or 0) + 4}" text-anchor="end">{text}</text>')  # fmt: skip


def _mark(x: float, y: float, place: int, colour: str) -> str:
    r = 5
    shapes = (
        f'<circle cx="{x}" cy="{y}" r="{r}" ',
        f'<path d="M{x - r} {y - r}h{2 * r}v{2 * r}h-{2 * r}z" ',
        f'<path d="M{x} {y - r - 1}l{r + 1} {r + 1}l-{r + 1} {r + 1}l-{r + 1} -{r + 1}z" ',
        f'<path d="M{x} {y - r - 1}l{r + 1} {2 * r}h-{2 * r + 2}z" ',
    )
    filled = place < len(shapes)
    paint = f'fill="{colour}"' if filled else f'fill="#fff" stroke="{colour}" stroke-width="2"'
    return f"{shapes[place % len(shapes)]}{paint}/>"
