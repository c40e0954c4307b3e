"""The JSON documents inside safe files, as types.

A decoded document that is encoded again must give the same bytes: nothing unknown, nothing
twice, and one spelling for everything.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

import msgspec

FORMAT = 1
"""The version of the file format that is written, and the newest that can be read."""

Count = Annotated[int, msgspec.Meta(ge=0)]
Packed = Any
"""A value as :mod:`dagnet.storage.values` spells it."""


class Parameter(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """A parameter of a plugin."""

    name: str
    value: Packed


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
    nodes: Count | list[Packed]
    """Names, or how many where they are 0, 1, 2 …"""
    share_keys: list[Packed]
    weight_name: Packed


class CheckpointDocument(Document, forbid_unknown_fields=True, frozen=True):
    """A training run's snapshot."""

    kind: Literal["checkpoint"]
    content: Packed


T = TypeVar("T", bound=Document)


def decode(document: bytes, kind: type[T]) -> T:
    """Decode a document and make sure that it is spelled as it would be written.

    ValueError if it is not.
    """
    try:
        decoded = msgspec.json.decode(document, type=kind)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from error
    if msgspec.json.encode(decoded) != document:
        raise ValueError("the document has a repeated key or an unusual spelling")
    return decoded
