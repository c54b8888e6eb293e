"""The files that a trial ships and is measured on: ONNX, packed file, decoder."""

from engine.artifact.packing import pack, unpack
from engine.artifact.runtime import predict, session
from engine.artifact.template import Built, Template
from engine.artifact.writing import Artifact, build, save, write

__all__ = ["Artifact", "Built", "Template", "build", "pack", "predict", "save", "session", "unpack", "write"]
