"""The JSON documents inside safe files, as types.

A decoded document that is encoded again must give the same bytes: nothing unknown, nothing
twice, and one spelling for everything.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

import msgspec

__all__ = [
    "FORMAT",
    "Bytes",
    "CheckpointDocument",
    "Dict",
    "Document",
    "Float",
    "List",
    "ModelDocument",
    "Name",
    "Packed",
    "Parameter",
    "Plugin",
    "Tensor",
    "Text",
    "Tuple",
    "Whole",
    "decode",
]

FORMAT = 1
"""The version of the file format that is written, and the newest that can be read."""

Hex = Annotated[str, msgspec.Meta(pattern=r"\A(?:[0-9a-f]{2})*\Z")]
Count = Annotated[int, msgspec.Meta(ge=0)]


class Float(msgspec.Struct, tag="f", array_like=True, forbid_unknown_fields=True, frozen=True):
    """A float: the 64 bits, most significant first, as 16 hex digits."""

    bits: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{16}\Z")]


class Whole(msgspec.Struct, tag="i", array_like=True, forbid_unknown_fields=True, frozen=True):
    """An integer that 64 bits do not hold, in hex digits."""

    digits: Annotated[str, msgspec.Meta(pattern=r"\A-?[1-9a-f][0-9a-f]{15,}\Z")]


class Text(msgspec.Struct, tag="s", array_like=True, forbid_unknown_fields=True, frozen=True):
    """A string that is no valid Unicode (lone surrogates), in hex."""

    data: Hex


class Bytes(msgspec.Struct, tag="b", array_like=True, forbid_unknown_fields=True, frozen=True):
    """Bytes in hex."""

    data: Hex


class Tuple(msgspec.Struct, tag="t", array_like=True, forbid_unknown_fields=True, frozen=True):
    """A tuple of names."""

    items: list[Name]


class List(msgspec.Struct, tag="l", array_like=True, forbid_unknown_fields=True, frozen=True):
    """A list."""

    items: list[Packed]


class Dict(msgspec.Struct, tag="d", array_like=True, forbid_unknown_fields=True, frozen=True):
    """A dictionary: its keys in order, and their values."""

    keys: list[str | Text]
    items: list[Packed]


class Tensor(msgspec.Struct, tag="a", array_like=True, forbid_unknown_fields=True, frozen=True):
    """An array, or a NumPy scalar: the number of a tensor of the file."""

    number: Count
    scalar: bool


Name = None | bool | int | str | Float | Whole | Text | Bytes | Tuple
Packed = None | bool | int | str | Float | Whole | Text | Bytes | Tuple | List | Dict | Tensor


class Parameter(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """A parameter of a plugin."""

    name: str
    value: Name


class Plugin(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """An activation or a loss by name, and who provided it."""

    name: str
    parameters: list[Parameter]
    distribution: str
    version: str


class Document(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What all documents begin with; the reader finds the digest by its place."""

    format: int
    sha256: str
    kind: str


class ModelDocument(Document, forbid_unknown_fields=True, frozen=True):
    """A network; its arrays are the file's tensors (:mod:`dagnet.storage.models`)."""

    kind: Literal["model"]
    fingerprint: str
    dtype: Literal["float64", "float32"]
    loss: Plugin
    activations: list[Plugin]
    nodes: Count | list[Name]
    """Names, or how many where they are 0, 1, 2 …"""
    share_keys: list[Name]
    weight_name: Name


class CheckpointDocument(Document, forbid_unknown_fields=True, frozen=True):
    """A training run's snapshot."""

    kind: Literal["checkpoint"]
    content: Dict


T = TypeVar("T", bound=Document)


def decode(document: bytes, kind: type[T]) -> T:
    """Decode a document and make sure that it is spelled as it would be written.

    Raises
    ------
    ValueError
        If it is not.
    """
    try:
        decoded = msgspec.json.decode(document, type=kind)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from error
    if msgspec.json.encode(decoded) != document:
        raise ValueError("the document has a repeated key or an unusual spelling")
    return decoded
