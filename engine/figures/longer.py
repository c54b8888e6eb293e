"""Short runs against long ones: every pair as a point, and the rank correlation of every setting with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from engine.figures.hover import quality_words, recipe_words
from engine.figures.labels import Labels, labels_of
from engine.figures.theme import Theme, axis, layout, theme_of

Row = Mapping[str, Any]
ROW_PIXELS = 30
SIZE, MARGIN = 9, 0.04


class LongerInfo(NamedTuple):
    """One point a pair: ``xs`` short, ``ys`` long quality, ``here`` whether both ran in this home; keys of long runs.

    ``winner`` is the best short run's position, ``best`` the best long one's. ``epochs``: of short and long runs.
    """

    xs: tuple[float, ...]
    ys: tuple[float, ...]
    here: tuple[bool, ...]
    keys: tuple[str, ...]
    hover: tuple[str, ...]
    winner: int | None
    best: int | None
    epochs: tuple[int, int]
    metric: str


class TrustLine(NamedTuple):
    """A setting's rank correlation with its interval; None where there are too few pairs. ``advised`` or withheld."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    pairs: int
    advised: bool


class TrustInfo(NamedTuple):
    """Lines from top to bottom; ``trusted`` is where advice begins."""

    lines: tuple[TrustLine, ...]
    trusted: float


def longer_info(step: Row, metric: str = "accuracy", direction: str = "maximize",
                labels: Labels | None = None) -> LongerInfo:  # fmt: skip
    """``step`` as in ``engine.api_longer.short_and_long``."""
    words, sign, points = labels_of(labels), 1.0 if direction == "maximize" else -1.0, list(step["points"])
    order = range(len(points))
    winner = max(order, key=lambda i: (sign * points[i]["short"], -sign * points[i]["long"]), default=None)
    best = max(order, key=lambda i: sign * points[i]["long"], default=None)
    return LongerInfo(
        tuple(p["short"] for p in points), tuple(p["long"] for p in points), tuple(bool(p["here"]) for p in points),
        tuple(str(p["long_key"]) for p in points), tuple(_hover(p, step, metric, words) for p in points), winner, best,
        (int(step["short"]), int(step["long"])), metric,
    )  # fmt: skip


def longer_figure(info: LongerInfo, theme: Theme | str = "light", *, labels: Labels | None = None,
                  height: int = 380) -> dict[str, Any]:  # fmt: skip
    """The pairs as a plain plotly dict; a click on one of this home gives its long run's key in ``customdata``."""
    colours, words = theme_of(theme), labels_of(labels)
    groups = ((False, "longer_atlas", colours.shipped, "diamond"), (True, "longer_here", colours.front, "circle"))
    traces = [_markers(info, here, words[name], colour, symbol) for here, name, colour, symbol in groups]
    traces += [_ring(info, info.best, words["longer_best"], colours.teacher, 19),
               _ring(info, info.winner, words["longer_winner"], colours.slower, 14)]  # fmt: skip
    name = words[f"metric_{info.metric}"]
    share = {"tickformat": ".0%"} if info.metric == "accuracy" else {}
    x_axis = axis(colours, words["longer_x"].format(metric=name, epochs=info.epochs[0]), **share, **_range(info.xs))
    y_axis = axis(colours, words["longer_y"].format(metric=name, epochs=info.epochs[1]), **share, **_range(info.ys))
    key = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "font": {"color": colours.text}}
    return {"data": [t for t in traces if t["x"]],
            "layout": layout(colours, height, xaxis=x_axis, yaxis=y_axis, showlegend=True, legend=key,
                             clickmode="event+select", margin={"l": 64, "r": 12, "t": 40, "b": 52})}  # fmt: skip


def trust_info(step: Row, trusted: float, labels: Labels | None = None) -> TrustInfo:
    """The whole, one student's runs, then every knob, as ``engine.api_longer.short_and_long`` gives them."""
    words = labels_of(labels)
    named = [(words["longer_whole"], step["whole"]), (words["longer_within"], step["within"])]
    named += [(words[f"knob_{k['knob']}"], k) for k in step["knobs"]]
    return TrustInfo(tuple(TrustLine(name, row["spearman"], row["low"], row["high"], row["pairs"], row["advised"])
                           for name, row in named), trusted)  # fmt: skip


def trust_figure(info: TrustInfo, theme: Theme | str = "light", *, labels: Labels | None = None) -> dict[str, Any]:
    """A dot with its interval for every line; filled where advice is given, hollow where it is withheld."""
    colours, words = theme_of(theme), labels_of(labels)
    known = [line for line in info.lines if line.value is not None]
    said = [words["trust_hover"].format(name=line.name, value=f"{line.value:.2f}", low=f"{line.low:.2f}",
                                        high=f"{line.high:.2f}", pairs=line.pairs) for line in known]  # fmt: skip
    paint = [colours.front if line.advised else colours.slower for line in known]
    symbols = ["circle" if line.advised else "circle-open" for line in known]
    dots = {
        "type": "scatter", "mode": "markers", "x": [line.value for line in known], "y": [line.name for line in known],
        "hovertext": said, "hovertemplate": "%{hovertext}<extra></extra>",
        "marker": {"size": 11, "color": paint, "symbol": symbols, "line": {"width": 2, "color": paint}},
        "error_x": {"type": "data", "symmetric": False, "color": colours.muted, "thickness": 1.5, "width": 5,
                    "array": [(line.high or 0) - (line.value or 0) for line in known],
                    "arrayminus": [(line.value or 0) - (line.low or 0) for line in known]},
    }  # fmt: skip
    notes = [{"x": 0, "y": line.name, "text": words["trust_few"].format(pairs=line.pairs), "showarrow": False,
              "font": {"color": colours.muted, "size": 12}} for line in info.lines if line.value is None]  # fmt: skip
    rule = {"type": "line", "x0": info.trusted, "x1": info.trusted, "y0": 0, "y1": 1, "yref": "paper",
            "line": {"color": colours.muted, "width": 1.5, "dash": "dash"}}  # fmt: skip
    x_axis = axis(colours, words["trust_x"], range=[-1.05, 1.05], tickvals=[-1, -0.5, 0, 0.5, 1])
    names = [line.name for line in info.lines]
    y_axis = axis(colours, "", autorange="reversed", showgrid=False, ticks="", tickfont={"color": colours.text},
                  type="category", categoryorder="array", categoryarray=names)  # fmt: skip
    # a category that holds only a note would get no place: an invisible dot gives it one
    places = {"type": "scatter", "mode": "markers", "x": [0] * len(names), "y": names, "hoverinfo": "skip",
              "marker": {"opacity": 0}}  # fmt: skip
    return {"data": [places, dots] if names else [],
            "layout": layout(colours, 96 + ROW_PIXELS * max(len(names), 1), xaxis=x_axis, yaxis=y_axis, shapes=[rule],
                             annotations=notes, margin={"l": 150, "r": 12, "t": 8, "b": 52})}  # fmt: skip


def alt_longer(info: LongerInfo, labels: Labels | None = None) -> str:
    """The pairs for those who cannot see them."""
    words = labels_of(labels)
    if info.winner is None or info.best is None:
        return words["alt_longer_empty"]
    return words["alt_longer"].format(
        count=len(info.xs), here=sum(info.here), short=info.epochs[0], long=info.epochs[1],
        winner=quality_words(info.ys[info.winner], info.metric), best=quality_words(info.ys[info.best], info.metric),
    )  # fmt: skip


def alt_trust(info: TrustInfo, labels: Labels | None = None) -> str:
    """The correlations for those who cannot see them."""
    words = labels_of(labels)
    said = [words["alt_trust_line"].format(name=line.name, value=f"{line.value:.2f}", low=f"{line.low:.2f}",
                                           high=f"{line.high:.2f}")
            for line in info.lines if line.value is not None]  # fmt: skip
    return words["alt_trust"].format(lines="; ".join(said)) if said else words["alt_longer_empty"]


def _markers(info: LongerInfo, here: bool, name: str, colour: str, symbol: str) -> dict[str, Any]:
    index = [i for i, own in enumerate(info.here) if own == here]
    keys = {"customdata": [[info.keys[i]] for i in index]} if here else {}
    return {
        "type": "scatter", "mode": "markers", "name": name, "x": [info.xs[i] for i in index],
        "y": [info.ys[i] for i in index], "hovertext": [info.hover[i] for i in index], **keys,
        "hovertemplate": "%{hovertext}<extra></extra>",
        "marker": {"size": SIZE, "color": colour, "symbol": symbol, "opacity": 0.85},
        "selected": {"marker": {}}, "unselected": {"marker": {}},
    }  # fmt: skip


def _ring(info: LongerInfo, place: int | None, name: str, colour: str, size: int) -> dict[str, Any]:
    found = [] if place is None else [place]
    return {
        "type": "scatter", "mode": "markers", "name": name, "x": [info.xs[i] for i in found], "hoverinfo": "skip",
        "y": [info.ys[i] for i in found],
        "marker": {"size": size, "symbol": "circle-open", "color": colour, "line": {"width": 2.5, "color": colour}},
        "selected": {"marker": {}}, "unselected": {"marker": {}},
    }  # fmt: skip


def _range(values: Sequence[float]) -> dict[str, Any]:
    if not values:
        return {}
    low, high = min(values), max(values)
    margin = MARGIN * ((high - low) or 1.0)
    return {"range": [low - margin, high + margin]}


def _hover(point: Row, step: Row, metric: str, words: Labels) -> str:
    name = words[f"metric_{metric}"]
    said = words["longer_hover"].format(short=quality_words(point["short"], metric), before=step["short"],
                                        long=quality_words(point["long"], metric), after=step["long"],
                                        metric=name)  # fmt: skip
    return f"{said}<br>{recipe_words({**point, 'epochs': None}, words)}"
