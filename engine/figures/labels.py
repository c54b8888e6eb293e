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
    "step_quality": "{metric} on validation",
    "step_packed_bytes": "size of the packed file",
    "step_latency_ms": "time of one example",
    "step_points": "{points} points",
    "step_better_packed_bytes": "{ratio}× smaller",
    "step_worse_packed_bytes": "{ratio}× larger",
    "step_level_packed_bytes": "same size",
    "step_better_latency_ms": "{ratio}× faster",
    "step_worse_latency_ms": "{ratio}× slower",
    "step_level_latency_ms": "about as fast",
    "step_level_quality": "no change",
    "step_simulated_short": "simulated",
    "step_after": "after: {name}",
    "step_interval": "95 % interval {low} to {high}",
    "step_simulated": "simulated: nothing here computes in this number format",
    "alt_step": "{name}: {values}",
    "alt_steps": "{count} steps. {steps}.",
    "alt_steps_empty": "No steps yet.",
    "layer_packed_bytes": "bytes in the packed file",
    "layer_macs": "multiply-adds of one example",
    "layer_zeros": "weights that are zero",
    "layer_bits": "bits of a weight",
    "layer_hover": "<b>{name}</b> ({kind})<br>weights {shape}<br>{nonzero} of {parameters} not zero<br>"
    "{share} of the packed weights",
    "alt_layers": "{count} layers. The largest is {largest} with {size} of {total}; "
    "{busiest} does {share} of the multiply-adds.",
    "alt_layers_empty": "No layers yet.",
    "weights_before": "dense student",
    "weights_after": "this network",
    "weights_count": "weights (log scale)",
    "weights_value": "value of a weight",
    "weights_hover": "{name}: %{{customdata:,}} weights around %{{x:.3~g}}",
    "alt_weights": "{count} weights of {layer} from {low} to {high}, {zeros} of them around zero; "
    "they fill {bins} bins{before}.",
    "alt_weights_before": ", before ({name}) {bins}",
    "alt_weights_empty": "No weights to show.",
    "filters_before": "dense student",
    "filters_after": "this network",
    "filters_bar": "weight",
    "filters_hover": "weight %{z:.3~g}",
    "alt_filters": "{count} filters of {layer}; {kept} of them are not all zero.",
    "confusion_x": "answer",
    "confusion_y": "label",
    "confusion_answers_right": "{count} of {total} images of {label} are answered right",
    "confusion_answers_wrong": "{count} of {total} images of {label} are taken for {answer}",
    "confusion_change_right": "{label}: {count} right answers against the dense student",
    "confusion_change_wrong": "{label} taken for {answer}: {count} against the dense student",
    "alt_confusion_answers": "{right} of {total} images are answered right.",
    "alt_confusion_change": "{right} right answers against the dense student.",
    "alt_confusion_worst_answers": "Most often {label} is taken for {answer}: {count} times.",
    "alt_confusion_worst_change": "What grew most: {label} taken for {answer}, {count} more.",
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
    "gap_axis": "quality above or below A, percentage points (95 % interval)",
    "alt_compare": "{metric} by epoch.",
    "alt_compare_line": "{letter}: {value} after {count} epochs.",
    "alt_gap": "{letter} is {points:+.2f} points from A, interval {low:+.2f} to {high:+.2f}.",
    "alt_gap_alone": "{letter} is {points:+.2f} points from A, without an interval.",
    "alt_curves": "{count} epochs: training loss from {first_loss} to {last_loss}, {metric} from {first} to {last}.",
    "alt_curves_empty": "No finished epoch yet.",
    "alt_sides": "{metric} by {axis}: {lines}.",
    "alt_sides_empty": "No measured trials to lay side by side yet.",
    "axis_quality_low": "{metric} on validation (lower is better)",
    "metric_macro_f1": "macro F1",
    "metric_agreement": "agreement with the teacher",
    "metric_cross_entropy": "cross entropy",
    "metric_calibration_error": "calibration error",
    "above": "{count} more above",
    "best": "best within the limits",
    "best_and_knee": "best within the limits, knee",
    "runner_up": "runner-up",
    "at_most": "at most {value}",
    "at_least": "at least {value}",
    "alt_front": "{count} measured points, {metric} against {axis}.",
    "alt_the_front": "front",
    "alt_line": "The {name} has {count} of them: {ends}.",
    "alt_limit": "A line marks the limit of {cost}.",
    "alt_best": "Best within the limits: {quality} at {cost}.",
    "alt_runner_up": "Runner-up: {quality} at {cost}.",
    "parallel_none": "none",
    "parallel_all": "all",
    "alt_parallel": "{count} points as lines across {axes}. Best: {best}.",
    "alt_parallel_empty": "No points to draw as lines yet.",
    "importance_axis": "share in what separates the best tenth from the others",
    "alt_importances": "Importances: {shares}.",
    "alt_importances_empty": "No importances yet.",
    "knob_student": "student",
    "knob_teacher": "teacher",
    "knob_loss": "loss",
    "knob_temperature": "temperature",
    "knob_weight": "teacher's weight",
    "knob_pruning": "pruning",
    "knob_schedule": "when pruned",
    "knob_sparsity": "sparsity",
    "knob_bits": "bits",
    "knob_epochs": "epochs",
    "knob_labels": "labelled images",
    "knob_data": "data",
    "knob_seed": "seed",
    "short_packed_bytes": "packed file",
    "short_onnx_bytes": "ONNX file",
    "short_latency_ms": "time of one",
    "short_latency32_ms": "time of 32",
    "short_macs": "multiply-adds",
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
