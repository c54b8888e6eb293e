"""``stillhouse sensitivity``: how much each layer matters, and a setting for each under a number of bytes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import Any

from engine import api, api_sensitivity
from engine.cli_run import CANCELLED, SHOWN_KEY, print_json
from engine.errors import TrialFailedError
from engine.figures.hover import quality_words
from engine.home import Home
from engine.units import format_bytes

Json = Mapping[str, Any]


def sensitivity(options: argparse.Namespace, home: Home) -> int:
    """Measure the layers one by one (once), print what they lose and the settings that fit; with --run, run them."""
    key = api.resolve(home, options.trial)
    job = api_sensitivity.ask(home, key)
    if api_sensitivity.sensitivity(home, key)["data"] is None:
        try:
            last = api.wait(home, [job], _progress)[job]
        except KeyboardInterrupt:
            api.cancel(home, job)
            sys.stderr.write("stillhouse: the measurement was cancelled\n")
            return CANCELLED
        if last["state"] != "done":
            raise TrialFailedError(f"the layers could not be measured: {last['error'] or last['state']}")
    data = api_sensitivity.sensitivity(home, key)["data"]
    budget = round(options.max_bytes or api_sensitivity.usual_budget(data))
    advice = _run(home, key, budget) if options.run else api_sensitivity.recommend(home, key, budget)
    if options.json:
        print_json({"sensitivity": data, "recommended": advice})
    else:
        sys.stdout.write("\n".join([*loss_lines(data), "", *advice_lines(advice)]) + "\n")
    return 0


def _run(home: Home, key: str, budget: int) -> dict[str, Any]:
    """The recommendation with what its recipe gave."""
    trial = api_sensitivity.run(home, key, budget, host=True)
    last = api.wait(home, [trial], _progress)[trial]
    if last["state"] != "done":
        raise TrialFailedError(f"the recommended recipe did not end well: {last['error'] or last['state']}")
    return api_sensitivity.recommend(home, key, budget)


def loss_lines(data: Json) -> list[str]:
    """Quality lost by layer and level, a line for each layer."""
    heads = [f"{100 * s:g} %" for s in data["sparsities"]] + [f"{b} bits" for b in data["bits"]]
    lines = [f"{data['student']}: {quality_words(data['quality'], data['metric'])}, "
             f"{format_bytes(data['packed_bytes'])}; quality lost when one layer is pruned or rounded",
             f"{'':<24}" + "".join(f"{h:>8}" for h in heads)]  # fmt: skip
    for row in data["layers"]:
        losses = [c["loss"] for c in data["cells"] if c["layer"] == row["name"]]
        lines.append(f"{row['name'][-24:]:<24}" + "".join(f"{100 * x:>8.2f}" for x in losses))
    return lines


def advice_lines(advice: Json) -> list[str]:
    """The recommended setting of each layer, what is predicted, and what was measured."""
    lines = [f"within {format_bytes(advice['max_bytes'])}:"]
    for row in advice["layers"]:
        zeros = f"{100 * row['sparsity']:g} % zeros" if row["sparsity"] else "no zeros"
        width = "float" if row["bits"] == api_sensitivity.WHOLE else f"{row['bits']} bits"
        size = f"{format_bytes(row['dense_bytes'])} -> {format_bytes(row['bytes'])}"
        lines.append(f"  {row['layer'][-24:]:<24}{zeros:>12}{width:>8}  {size}")
    lines.append(f"predicted {_result(advice)}")
    measured = advice["measured"]
    if measured and measured["state"] == "done":
        lines.append(f"measured  {_result({**measured, 'metric': advice['metric']})}  {advice['key'][:SHOWN_KEY]}")
    return lines


def _result(row: Json) -> str:
    low, high = (quality_words(row[name], row["metric"]) for name in ("quality_low", "quality_high"))
    value = quality_words(row["quality"], row["metric"])
    return f"{value} ({low} to {high}), {format_bytes(row['packed_bytes'])}"


def _progress(now: Json) -> None:
    share = float((now.get("progress") or {}).get("fraction") or 0.0)
    sys.stderr.write(f"{now['state']} {100 * share:.0f} %\n")
