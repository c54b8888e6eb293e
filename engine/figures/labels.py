"""The English words inside figures. A page may hand over a translation with the same names.

Templates are filled by ``str.format``; a test checks that every figure uses only what is listed here.
"""

from __future__ import annotations

from collections.abc import Mapping

Labels = Mapping[str, str]

ENGLISH: Labels = {
    "axis_quality": "{metric} on validation",
    "axis_packed_bytes": "size of the packed file (log scale)",
    "axis_onnx_bytes": "size of the ONNX file (log scale)",
    "axis_latency_ms": "time of one example (log scale)",
    "axis_latency32_ms": "time of a batch of 32 (log scale)",
    "axis_macs": "multiply-adds of one example (log scale)",
    "front": "front: nothing is both better and smaller",
    "front_time": "front: nothing is both better and faster",
    "knee": "knee",
    "trial": "trials",
    "grid": "grid points",
    "shipped": "shipped results",
    "teacher": "teacher",
    "baseline": "baseline (labels only)",
    "dense": "dense student",
    "selected": "selected",
    "slower": "smaller but slower here",
    "simulated": "hollow: simulated time",
    "below": "{count} more below",
    "hover_quality": "<b>{value}</b> {metric} ({low} to {high})",
    "hover_quality_alone": "<b>{value}</b> {metric}",
    "hover_size": "{packed} packed, {onnx} as ONNX",
    "hover_latency": "{time} a call",
    "hover_latency_simulated": "{time} a call (simulated: no kernel here runs these bits)",
    "hover_taught": "{student}, taught by {teacher}: {loss}",
    "hover_student": "{student}: {loss}",
    "hover_teacher": "{student} itself",
    "hover_softened": "temperature {temperature}, weight {weight}",
    "hover_dense": "all weights kept, 32 bits",
    "hover_pruned": "{sparsity} {what} ({schedule})",
    "hover_bits": "{bits} bits",
    "what_magnitude": "of the weights are zero",
    "what_channels": "of the channels removed",
    "schedule_one_shot": "at once",
    "schedule_gradual": "while training",
    "hover_training": "{epochs} epochs, {labels}, seed {seed}",
    "labels_all": "all labels",
    "labels_some": "{count} labels",
    "hover_slower": "smaller but {ratio}x slower than its dense student here: {cause}",
    "hover_slower_plain": "smaller but slower than its dense student here: {cause}",
    "hover_zeros": "its zeros save no time: a dense kernel multiplies them too",
    "hover_preview": "preview on the first images only",
    "hover_shipped": "shipped result",
    "hover_elsewhere": "time measured on {machine}",
    "cause_unknown": "cause unknown",
    "cause_no kernel": "no kernel runs this number format",
    "cause_conversion nodes": "converting between number formats costs more than it saves",
    "cause_zeros in a dense kernel": "a dense kernel multiplies the zeros too",
    "cause_too small": "the net is too small for integer arithmetic to pay",
    "heat_x": "weights set to zero",
    "heat_y": "bits of a weight",
    "heat_cell": "{sparsity} zeros, {bits} bits<br><b>{value}</b> {metric}<br>{packed} packed",
    "heat_cell_preview": "{sparsity} zeros, {bits} bits<br><b>{value}</b> {metric} (preview)<br>{packed} packed",
    "heat_bar": "{metric}",
    "soft_x": "probability that the teacher gives (temperature {temperature})",
    "soft_bar": "{name}: {share}",
    "soft_label": "label",
    "curve_epoch": "epoch",
    "curve_loss": "training loss",
    "curve_quality": "{metric} on validation",
    "metric_accuracy": "accuracy",
    "alt_pareto": "{count} measured points, {metric} against {axis}. The front has {front} of them: {ends}. {marks}",
    "alt_pareto_empty": "No measured points yet.",
    "alt_ends": "from {low_quality} at {low_cost} to {high_quality} at {high_cost}",
    "alt_one": "{high_quality} at {high_cost}",
    "alt_knee": "Its knee is {quality} at {cost}.",
    "alt_selected": "Selected: {quality} at {cost}.",
    "alt_heat": "{metric} of {count} grid points over zeros and bits: from {low} to {high}, "
    "best at {sparsity} zeros and {bits} bits. {selected}",
    "alt_heat_selected": "Selected: {sparsity} zeros and {bits} bits give {quality}.",
    "alt_heat_empty": "No grid points yet.",
    "alt_soft": "At temperature {temperature} the teacher gives {bars}. The label is {label}.",
    "alt_curves": "{count} epochs: training loss from {first_loss} to {last_loss}, {metric} from {first} to {last}.",
    "alt_curves_empty": "No finished epoch yet.",
}


class Words(dict[str, str]):
    """Words by name; a name that nobody wrote (a new metric, a new cause) reads as itself, so no figure fails on words.

    Hashed by identity and never changed, so that finished texts can be remembered.
    """

    __hash__ = object.__hash__  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return self is other

    def __missing__(self, name: str) -> str:
        return name.partition("_")[2].replace("_", " ") or name


_COMPLETED: dict[tuple[tuple[str, str], ...], Words] = {}


def labels_of(labels: Labels | None) -> Labels:
    """English, or a translation completed with English; equal words give the same object."""
    if isinstance(labels, Words):
        return labels
    chosen = {**ENGLISH, **(labels or {})}
    return _COMPLETED.setdefault(tuple(sorted(chosen.items())), Words(chosen))
