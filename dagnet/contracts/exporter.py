"""The exporter contract: one file format, written to a stream and perhaps read back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, ClassVar

from dagnet.contracts.parametric import checked_function, checked_name
from dagnet.errors import PluginError, expected


@dataclass(frozen=True)
class Observations:
    """Rows that go along with an export: X (rows, input units), y or None."""

    X: Any
    y: Any = None


@dataclass(frozen=True)
class Exporter:
    """A file format that networks are written to, and perhaps read from.

    Parameters
    ----------
    name
        An identifier, for instance ``"graphml"``.
    suffix
        With its dot, lower case: ``".graphml"``.
    write
        ``write(network, stream, observations)``: writes bytes to the binary ``stream``;
        ``observations`` is an :class:`Observations` or None.  The caller opens and renames the
        file, so that none is ever left half-written.
    read
        ``read(stream) -> nx.DiGraph``, or None where the format cannot be read back.
    """

    kind: ClassVar[str] = "exporter"
    name: str
    suffix: str
    write: Callable[[Any, BinaryIO, Observations | None], None]
    read: Callable[[BinaryIO], Any] | None = None

    def __post_init__(self) -> None:
        checked_name(self.kind, self.name)
        if (
            not isinstance(self.suffix, str)
            or not self.suffix.startswith(".")
            or self.suffix != self.suffix.lower()
        ):
            raise PluginError(
                expected(f"exporter {self.name!r}: suffix", "a lower-case suffix such as '.xyz'", self.suffix)
            )
        checked_function(f"exporter {self.name!r}: write", self.write)
