"""What an ONNX model is put together from: nodes, constants, functions with a name, and the file.

A model of more than 2 GiB cannot be one file, as protobuf has it; its numbers are then in a second one.
"""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import onnx
from onnx import TensorProto, helper

import dagnet
from dagnet.errors import DagnetWarning, DataError
from dagnet.storage import atomically

OPSET, IR = 18, 8
"""Of 2022: old enough for the runtimes that there are."""
DOMAIN = "dagnet"
LARGEST = 2**31 - 2**28
"""Bytes of numbers in one file of protobuf, which has 2 GiB at most; nodes need some, too."""
ALONE = 1024
"""Bytes from which on a tensor goes to the other file, at a multiple of ``PAGE`` so that it can be mapped."""
PAGE = 4096
KINDS: dict[str, int] = {
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "bool": TensorProto.BOOL,
}


def tensor(array: Any, name: str) -> Any:
    """An array as ONNX has it, little-endian."""
    found = TensorProto(name=name, dims=array.shape, data_type=KINDS[array.dtype.name])
    found.raw_data = array.astype(array.dtype.newbyteorder("<")).tobytes()
    return found


class Body:
    """Nodes in order, whose names are letters and numbers: those of a graph's nodes may be anything."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = np.dtype(dtype)
        self.nodes: list[Any] = []
        self._constants: dict[tuple[Any, ...], str] = {}
        self._names = 0

    def named(self, letter: str) -> str:
        """A name that is new."""
        self._names += 1
        return f"{letter}{self._names}"

    def emit(self, operator: str, *inputs: str, result: str = "", domain: str = "", **attributes: Any) -> str:
        """Another node; the name of what it gives."""
        name = result or self.named("t")
        node = helper.make_node(operator, list(inputs), [name], domain=domain or None, **attributes)
        self.nodes.append(node)
        return name

    def constant(self, value: Any) -> str:
        """The name of an array, which is kept once."""
        array = np.array(value, order="C")
        if array.nbytes >= ALONE:
            return self._keep(array)
        key = array.dtype.char, array.shape, array.tobytes()
        if key not in self._constants:
            self._constants[key] = self._keep(array)
        return self._constants[key]

    def number(self, value: float) -> str:
        """The name of a number in the model's precision."""
        return self.constant(self.dtype.type(value))

    def _keep(self, array: Any) -> str:
        name = self.named("c")
        self.nodes.append(helper.make_node("Constant", [], [name], value=tensor(array, "")))
        return name


class Writer(Body):
    """A model that grows: numbers are initializers, and functions have a name of their own."""

    def __init__(self, dtype: Any) -> None:
        super().__init__(dtype)
        self.tensors: dict[str, Any] = {}
        self._functions: dict[str, Any] = {}

    def _keep(self, array: Any) -> str:
        name = self.named("w" if array.dtype.kind == "f" else "i")
        self.tensors[name] = array
        return name

    def define(self, name: str, inputs: Sequence[str], body: Body, result: str, text: str) -> str:
        """A function that nodes may call, and the name that it got."""
        unique, k = name, 1
        while unique in self._functions:
            unique, k = f"{name}_{k + 1}", k + 1
        opset = [helper.make_opsetid("", OPSET)]
        found = helper.make_function(DOMAIN, unique, list(inputs), [result], body.nodes, opset)
        found.doc_string = text
        self._functions[unique] = found
        return unique

    def write(
        self, stream: BinaryIO, inputs: Sequence[Any], outputs: Sequence[Any], about: Mapping[str, str]
    ) -> None:
        """The model to a stream, and where one file cannot hold it, its numbers to another one beside it.

        ``about`` has ``doc_string`` and, under other names, what goes to the metadata.
        """
        size = sum(array.nbytes for array in self.tensors.values())
        beside = None if size <= LARGEST else _beside(stream, size)
        offsets = {} if beside is None else self._offsets()
        tensors = [
            _elsewhere(name, array, offsets[name], str(beside.name))
            if beside is not None and name in offsets
            else tensor(array, name)
            for name, array in self.tensors.items()
        ]
        graph = helper.make_graph(self.nodes, "dagnet", list(inputs), list(outputs), tensors)
        ids = [helper.make_opsetid("", OPSET)]
        ids += [helper.make_opsetid(DOMAIN, 1)] if self._functions else []
        model = helper.make_model(
            graph, opset_imports=ids, ir_version=IR, functions=list(self._functions.values())
        )
        model.producer_name, model.producer_version = "dagnet", dagnet.__version__
        model.doc_string = about["doc_string"]
        helper.set_model_props(model, {name: text for name, text in about.items() if name != "doc_string"})
        stream.write(model.SerializeToString())
        if beside is not None:
            stream.flush()
            self._write_beside(beside, offsets)

    def _offsets(self) -> dict[str, int]:
        """Where the large tensors stand in the other file."""
        found, at = {}, 0
        for name, array in self.tensors.items():
            if array.nbytes >= ALONE:
                found[name] = at
                at += -(-array.nbytes // PAGE) * PAGE
        return found

    def _write_beside(self, path: Path, offsets: Mapping[str, int]) -> None:
        with atomically(path) as stream:
            for name, offset in offsets.items():
                array = self.tensors[name]
                stream.write(b"\0" * (offset - stream.tell()))
                stream.write(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())


def _elsewhere(name: str, array: Any, offset: int, file: str) -> Any:
    found = TensorProto(name=name, dims=array.shape, data_type=KINDS[array.dtype.name])
    found.data_location = TensorProto.EXTERNAL
    for key, value in (("location", file), ("offset", offset), ("length", array.nbytes)):
        found.external_data.append(onnx.StringStringEntryProto(key=key, value=str(value)))
    return found


def _beside(stream: Any, size: int) -> Path:
    """The other file, the stream's own name and ``.data``; said before anything is written."""
    text = (
        f"export(): {size / 2**30:.3g} GiB of numbers are too many for one ONNX file, which has 2 GiB at most"
    )
    name = getattr(stream, "name", None)
    if not isinstance(name, (str, os.PathLike)) or not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        raise DataError(f"{text}, and there is no folder for a second one; export to a path")
    path = Path(name)
    beside = path.with_name(f"{path.name}.data")
    warnings.warn(
        f"{text}: they go to {beside.name} beside it; keep the two together", DagnetWarning, stacklevel=6
    )
    return beside
