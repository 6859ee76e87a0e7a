"""One ONNX graph, run by onnxruntime."""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mmgap.errors import EncoderError, MissingExtraError

_TYPES = {
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
}


@dataclass(frozen=True)
class Port:
    """One input or output of a graph.

    Parameters
    ----------
    name : str
    dtype : numpy dtype or None
        ``None`` for a type that no encoder uses.
    rank : int
        Number of axes; 0 also where the file does not say.
    """

    name: str
    dtype: type | None
    rank: int


class OnnxGraph:
    """A graph file, loaded and ready to run. No code of the model's makers is run.

    Parameters
    ----------
    path : Path
        The ``.onnx`` file; external data lies beside it.
    device : str, default "auto"
        ``"cpu"`` or ``"cuda"``; ``"auto"`` takes cuda where onnxruntime has it.
    threads : int or None
        Processor threads; ``None`` takes all that this process may use.

    Attributes
    ----------
    path : Path
    inputs, outputs : dict of str to Port
        By name, in the file's order.

    Raises
    ------
    EncoderError
        If the file is no graph, or the device is not there.
    MissingExtraError
        If onnxruntime is not installed.
    """

    def __init__(self, path: Path, *, device: str = "auto", threads: int | None = None) -> None:
        try:
            import onnxruntime
        except ModuleNotFoundError as error:
            purpose = "A model in ONNX files"
            raise MissingExtraError(purpose, "onnx") from error
        self.path = path
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # what goes wrong is raised, and need not be printed
        # Without a number onnxruntime pins threads to processors that a container may not have.
        options.intra_op_num_threads = threads or usable_processors()
        providers = _providers(device, onnxruntime.get_available_providers())
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # the library has one class for each of its status codes
            msg = (
                f"{path} cannot be loaded: {error}. Expected an ONNX graph with its external data "
                "files (.onnx_data) beside it; download both again"
            )
            raise EncoderError(msg) from error
        if (
            device.startswith("cuda")
            and "CUDAExecutionProvider" not in self._session.get_providers()
        ):
            msg = (
                f"{path.name} does not run on {device!r}: onnxruntime could not load its CUDA "
                "libraries. Install the CUDA and cuDNN that onnxruntime-gpu asks for, or take cpu"
            )
            raise EncoderError(msg)
        self.inputs = {each.name: _port(each) for each in self._session.get_inputs()}
        self.outputs = {each.name: _port(each) for each in self._session.get_outputs()}

    def run(self, feeds: Mapping[str, np.ndarray], output: str) -> np.ndarray:
        """Return one output as float32.

        Parameters
        ----------
        feeds : mapping of str to ndarray
            An array for each input, of any number type; cast to what the graph wants.
        output : str
            Name of the output.

        Raises
        ------
        EncoderError
            If the graph cannot take these arrays, or they do not fit into memory.
        """
        typed = {
            name: np.ascontiguousarray(array, dtype=self.inputs[name].dtype)
            for name, array in feeds.items()
        }
        try:
            (result,) = self._session.run([output], typed)
        except Exception as error:
            shapes = ", ".join(f"{name} {array.shape}" for name, array in typed.items())
            msg = f"{self.path} cannot take {shapes}: {error}"
            raise EncoderError(msg) from error
        return np.asarray(result, dtype=np.float32)

    def files(self) -> list[Path]:
        """Return the graph and the files that hold its external data, sorted by name."""
        root = self.path.parent
        beside = [path for path in root.rglob("*") if path.is_file() and path != self.path]
        if not beside:
            return [self.path]
        # A graph names its external files, by their paths from where it lies.
        with self.path.open("rb") as handle:
            graph = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
            external = [
                path
                for path in beside
                if graph.find(_protobuf(path.relative_to(root).as_posix())) >= 0
            ]
            graph.close()
        return sorted([self.path, *external], key=lambda path: path.name)


def _protobuf(text: str) -> bytes:
    """Return a text as a protobuf holds it: after its length, seven bits to a byte."""
    data, length = text.encode(), b""
    left = len(data)
    while left > 127:
        length, left = length + bytes([left & 127 | 128]), left >> 7
    return length + bytes([left]) + data


def usable_processors() -> int:
    """Return the number of processors that this process may use; 1 or more."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _providers(device: str, available: Sequence[str]) -> list[str | tuple[str, dict[str, int]]]:
    kind, _, number = device.partition(":")
    if kind not in {"auto", "cpu", "cuda"}:
        msg = f"ONNX models run on cpu or cuda, not on {device!r}; take one of them, or 'auto'"
        raise EncoderError(msg)
    has_cuda = "CUDAExecutionProvider" in available
    if kind == "cuda" and not has_cuda:
        msg = (
            "this onnxruntime has no CUDA; install onnxruntime-gpu in place of onnxruntime, or "
            "take device='cpu'"
        )
        raise EncoderError(msg)
    if kind == "cpu" or not has_cuda:
        return ["CPUExecutionProvider"]
    return [("CUDAExecutionProvider", {"device_id": int(number or 0)}), "CPUExecutionProvider"]


def _port(described: object) -> Port:
    return Port(
        described.name,  # type: ignore[attr-defined]
        _TYPES.get(described.type),  # type: ignore[attr-defined]
        len(described.shape or ()),  # type: ignore[attr-defined]
    )
