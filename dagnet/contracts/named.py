"""What has a name: parameters and the call form of functions; initializers, formats, normalisations."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Self

import numpy as np

from dagnet.arrays import Array
from dagnet.errors import PluginError, did_you_mean, expected
from dagnet.values import FACTOR, FLAG, POSITIVE, Rule, checked


def checked_name(kind: str, name: object) -> None:
    """Refuse what graphs and call forms cannot refer to."""
    if not isinstance(name, str) or not name.isidentifier():
        raise PluginError(expected(f"{kind}: name", "an identifier such as 'my_name'", name))


def checked_function(where: str, function: object) -> None:
    """Refuse what cannot be called."""
    if not callable(function):
        raise PluginError(expected(where, "a function", function))


def _takes(function: Callable[..., Any], argument: str) -> bool:
    try:
        return argument in inspect.signature(function).parameters
    except (TypeError, ValueError):  # some that are written in C do not say
        return False


# fmt: off
TAKEN = frozenset((
    "a", "act", "activation", "activation_function", "aggregation", "batch_norm", "bias", "categories",
    "center", "constraint", "dropout", "gain", "init", "level", "loss", "loss_weight", "mask", "mean",
    "normalization", "regularizer", "response", "role", "scale", "share", "shift", "sign", "target",
    "trainable", "units", "variance", "weight", "z",
))
# fmt: on
"""What no parameter that learns can be called: it means something else on nodes, or is an argument."""


class Learned(dict[str, Any]):
    """``trainable`` once its names are among ``parameters``, whose values then are the start values."""

    def _refuse(self, *_: Any) -> None:
        raise TypeError("an activation never changes; make another one")

    __setitem__ = __delitem__ = _refuse

    def __reduce__(self) -> Any:
        return Learned, (dict(self),)


def check_trainable(where: str, given: object, parameters: Mapping[str, Any]) -> None:
    """Refuse what cannot be the names and start values of parameters that learn."""
    if not isinstance(given, Mapping) or not all(isinstance(x, str) and x.isidentifier() for x in given):
        raise PluginError(expected(where, "a mapping from name to start value", given))
    for name in given:
        if name in TAKEN or name in parameters:
            what = "a parameter" if name in parameters else "a word on nodes, or an argument,"
            raise PluginError(f"{where}: {name!r} is {what} already; choose another name")


@dataclass(frozen=True, eq=False, repr=False)
class Parametric:
    """A named thing with parameters that a call form such as ``"elu(alpha=0.5)"`` can set."""

    kind: ClassVar[str] = ""
    functions: ClassVar[tuple[str, ...]] = ()
    name: str
    if TYPE_CHECKING:  # each subclass declares them, so that the order of the fields is the documented one
        parameters: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
        rules: Mapping[str, Rule] = field(default_factory=dict, kw_only=True)

    def __post_init__(self) -> None:
        checked_name(self.kind, self.name)
        given, where = self.parameters, f"{self.kind} {self.name!r}"
        for place, name in enumerate(self.functions):
            if place == 0 or getattr(self, name) is not None:
                checked_function(f"{where}: {name}", getattr(self, name))
        if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
            raise PluginError(expected(f"{where}: parameters", "a mapping from name to default value", given))
        object.__setattr__(self, "parameters", MappingProxyType(checked(where, given, self.rules)))

    @property
    def arguments(self) -> tuple[Any, ...]:
        """The parameters' values in their declared order, as the functions take them."""
        return tuple(self.parameters.values())

    def bind(self, *values: Any, **named: Any) -> Any:
        """A copy with some parameters set, by position or by name.

        Raises
        ------
        PluginError
            For too many values, an unknown name, or a name given twice.
        """
        known = self.parameters
        where = f"{self.kind} {self.name!r}"
        if len(values) > len(known):
            raise PluginError(expected(f"{where}: arguments", f"at most {len(known)} values", values))
        given = dict(zip(known, values, strict=False))
        for key, value in named.items():
            if key not in known:
                mend = did_you_mean(key, known, listed=8) or "; it takes no parameters"
                if _takes(getattr(self, self.functions[0]), key):
                    mend = f"; the function takes it: say parameters={{{key!r}: …}} where it is made"
                raise PluginError(f"{where} has no parameter {key!r}{mend}")
            if key in given:
                raise PluginError(f"{where}: parameter {key!r} is given twice")
            given[key] = value
        return replace(self, parameters={**known, **given})

    def __str__(self) -> str:
        inside = ", ".join(f"{key}={value!r}" for key, value in self.parameters.items())
        return f"{self.name}({inside})" if inside else self.name

    def __repr__(self) -> str:
        return f"<{self.kind} {self}>"

    def _identity(self) -> tuple[Any, ...]:
        rest = (getattr(self, item.name) for item in fields(self) if item.name not in {"parameters", "rules"})
        return (*rest, tuple(self.parameters.items()))

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash((type(self), self.name, tuple(map(repr, self.arguments))))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "parameters": dict(self.parameters)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, parameters=MappingProxyType(state["parameters"]))


@dataclass(frozen=True, eq=False, repr=False)
class Initializer(Parametric):
    """How weights that the graph does not give are drawn.

    Parameters
    ----------
    name
        An identifier.
    draw
        ``draw(generator, fan_in, fan_out, *parameters) -> weights``.  ``fan_in`` and
        ``fan_out`` are float arrays, one entry a weight to draw: the units of the parents of
        the weight's child, and of the children of its parent.  The result has their shape.
    parameters
        Names and default values.
    rules
        What the parameters must be, by name.
    by_weight
        Whether a weight depends on its own entries and on its own numbers of the generator alone, which
        are drawn as many at once as there are weights: large networks are then drawn in portions.

    Examples
    --------
    >>> import dagnet, numpy as np
    >>> ones = dagnet.Initializer("ones", lambda generator, fan_in, fan_out: np.ones_like(fan_in))
    >>> dagnet.Network(dagnet.layered([2, 1]), initializer=ones).parameters.tolist()
    [1.0, 1.0, 0.0]
    """

    kind: ClassVar[str] = "initializer"
    functions: ClassVar[tuple[str, ...]] = ("draw",)
    draw: Callable[..., Any]
    parameters: Mapping[str, Any] = field(default_factory=dict, kw_only=True)
    rules: Mapping[str, Rule] = field(default_factory=dict, kw_only=True)
    by_weight: bool = field(default=False, kw_only=True)

    def weights(self, generator: np.random.Generator, fan_in: Array, fan_out: Array) -> Array:
        """One drawn weight for each entry of ``fan_in``."""
        return self.draw(generator, fan_in, fan_out, *self.arguments)


@dataclass(frozen=True)
class Observations:
    """Rows that go along with an export: X (rows, input units), y or None.

    >>> Observations([[1.0]], None).y is None
    True
    """

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
        ``write(network, stream, observations)``: writes bytes to the binary ``stream``, whose ``name``
        is the file's if it becomes one; ``observations`` is an :class:`Observations` or None.  The
        caller opens and renames the file, so that none is ever left half-written.
    read
        ``read(stream) -> nx.DiGraph``, or None where the format cannot be read back.
    options
        What :meth:`Network.export` takes for this format, by name, and ``write`` as keywords.

    Examples
    --------
    >>> import dagnet
    >>> def write(network, stream, observations):
    ...     stream.write(str(network.nodes).encode())
    >>> dagnet.Exporter("names", ".names", write).suffix
    '.names'
    """

    kind: ClassVar[str] = "exporter"
    name: str
    suffix: str
    write: Callable[..., None]
    read: Callable[[BinaryIO], Any] | None = None
    options: Mapping[str, Rule] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        checked_name(self.kind, self.name)
        where, suffix = f"exporter {self.name!r}", self.suffix
        if not isinstance(suffix, str) or not suffix.startswith(".") or suffix != suffix.lower():
            raise PluginError(expected(f"{where}: suffix", "a lower-case suffix such as '.xyz'", suffix))
        checked_function(f"{where}: write", self.write)


MOMENTS = {"mean": 0.0, "variance": 1.0}
"""The running statistics of a normalisation of a batch, and where they begin."""
LEARNED = {"scale": 1.0, "shift": 0.0}
"""What a normalisation learns, and where it begins."""
KNOWN = {"batch": ("momentum", "eps", "before_activation"), "layer": ("eps", "before_activation")}


@dataclass(frozen=True)
class Normalization:
    """How a node's value is normalised, over the rows of a batch or over the units of the node.

    Of a batch (Ioffe and Szegedy, 2015): of each unit x̂ = (a − mean) / √(variance + eps) over the rows, and
    y = scale · x̂ + shift.  Of a layer (Ba, Kiros and Hinton, 2016): the same over the units of one node, row
    by row.

    Parameters
    ----------
    name
        ``"batch"`` or ``"layer"``.
    momentum
        The share of a batch's moments in the running ones, as in PyTorch.
    eps
        Added to the variance.
    before_activation
        Whether z is normalised, else the activation's value.
    """

    name: str
    momentum: float = 0.1
    eps: float = 1e-5
    before_activation: bool = False

    rules: ClassVar[Mapping[str, Rule]] = {"momentum": FACTOR, "eps": POSITIVE, "before_activation": FLAG}

    @classmethod
    def of(cls, name: str, settings: Mapping[str, Any]) -> Self:
        """By name and settings; PluginError or DataError for those that there are not."""
        where = f"normalization {name!r}"
        if name not in KNOWN:
            raise PluginError(f"unknown {where}{did_you_mean(name, KNOWN, listed=2)}")
        for word in settings:
            if word not in KNOWN[name]:
                mend = did_you_mean(word, KNOWN[name], listed=3)
                raise PluginError(f"{where} has no parameter {word!r}{mend}")
        defaults = {item.name: item.default for item in fields(cls)[1:]}
        return cls(name, **checked(where, {**defaults, **settings}, cls.rules))

    @property
    def over_rows(self) -> bool:
        """Whether it normalises over the rows of a batch."""
        return self.name == "batch"

    def points(self, values: Any, width: int) -> list[tuple[Any, Any]]:
        """Weights and values (units, rows) at which the derivative over ``width`` units is taken."""
        del width
        return [(1.0, values)]

    def __str__(self) -> str:
        values = {item.name: getattr(self, item.name) for item in fields(self)[1:]}
        said = [f"{name}={value!r}" for name, value in values.items() if value != getattr(type(self), name)]
        return f"{self.name}({', '.join(said)})" if said else self.name
