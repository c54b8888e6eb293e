"""Running an artifact: one place that sets ONNX Runtime's options, used for quality; latency has its own process."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from engine.errors import FileError


def session(model: str | os.PathLike[str] | bytes, threads: int = 1, **options: Any) -> onnxruntime.InferenceSession:
    """A session on the CPU for a file or its bytes; raises FileError when it is no ONNX model.

    ``options`` are further fields of SessionOptions (``enable_profiling``, ``optimized_model_filepath``).
    """
    chosen = onnxruntime.SessionOptions()
    chosen.intra_op_num_threads, chosen.inter_op_num_threads = threads, 1
    chosen.log_severity_level = 3
    chosen.add_session_config_entry("session.intra_op.allow_spinning", "0")
    for name, value in options.items():
        setattr(chosen, name, value)
    source = model if isinstance(model, bytes) else os.fspath(model)
    try:  # its fallback would try the same once more, and print that on stdout
        return onnxruntime.InferenceSession(source, chosen, providers=["CPUExecutionProvider"], enable_fallback=0)
    except _problems() as problem:
        where = "these bytes" if isinstance(model, bytes) else os.fspath(model)
        raise FileError(f"{where}: ONNX Runtime cannot load it ({str(problem).splitlines()[0][:200]})") from None


def predict(model: onnxruntime.InferenceSession, inputs: NDArray[Any], batch: int = 64) -> NDArray[np.float32]:
    """Logits [M, classes] for inputs [N, ...], ``batch`` examples a call: few enough for the processor's cache.

    ``inputs``: floats, or int64 ids of tokens. M is N, or N times the positions of an example for which the model
    answers, one below the other.
    """
    name = model.get_inputs()[0].name
    parts = [model.run(None, {name: inputs[i : i + batch]})[0] for i in range(0, len(inputs), batch)]
    if not parts:
        raise ValueError("no inputs to predict")
    return np.concatenate([part.reshape(-1, part.shape[-1]) for part in parts])


def _problems() -> tuple[type[BaseException], ...]:
    states = onnxruntime.capi.onnxruntime_pybind11_state
    names = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NoSuchFile", "NotImplemented")
    return (*(getattr(states, name) for name in names), RuntimeError, UnicodeDecodeError)
