"""The optimizer contract: an update rule over the flat vector, or a search along the loss."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from dagnet.arrays import Array
from dagnet.errors import PluginError, Verbatim, expected
from dagnet.values import Rule, checked, is_number

if TYPE_CHECKING:
    from dagnet.formula import Formula

State = Mapping[str, Any]
Evaluate = Callable[[Array], tuple[float, Array]]
STEP, RATE = "step", "learning_rate"
REMEMBERED = 64
_traces: dict[tuple[Any, ...], tuple[Any, tuple[Formula | None, str]]] = {}
"""By class and settings: what the rule read, and its formula."""


class Optimizer:
    """An update rule for the flat vector of trainable parameters.

    Subclass it as a frozen dataclass whose fields are the settings, with defaults, first of
    them ``learning_rate``; ``rules`` says what they must be.  Name the state's vectors in
    ``state_names`` and write the rule as :meth:`update`, elementwise; engines that compile run it
    as one fused pass.  A rule that is not elementwise overrides :meth:`step` instead; one that asks for
    losses elsewhere says ``searches = True``, too, and sees all rows.  Frozen parameters never reach a rule.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class SignDescent(Optimizer):
    ...     name = "sign_descent"
    ...     state_names = ("mean",)
    ...     learning_rate: float = 0.01
    ...     memory: float = 0.9
    ...
    ...     def update(self, parameter, gradient, state, step, learning_rate):
    ...         mean = self.memory * state["mean"] + (1 - self.memory) * gradient
    ...         return parameter - learning_rate * np.sign(mean), {"mean": mean}
    """

    kind: ClassVar[str] = "optimizer"
    name: ClassVar[str] = ""
    state_names: ClassVar[tuple[str, ...]] = ()
    rules: ClassVar[Mapping[str, Rule]] = {}
    searches: ClassVar[bool] = False
    learning_rate: float

    def __init_subclass__(cls) -> None:
        """Refuse a rule of other arguments where it is written."""
        parameters = list(inspect.signature(cls.update).parameters)
        if len(parameters) != 6:
            must = "a method update(self, parameter, gradient, state, step, learning_rate)"
            got = Verbatim(f"update({', '.join(parameters)})")
            where = f"optimizer {cls.name or cls.__name__!r}"
            raise PluginError(expected(where, must, got, "see dagnet.Optimizer"))

    def __post_init__(self) -> None:
        settings = {item.name: getattr(self, item.name) for item in fields(self)}  # type: ignore[arg-type]
        for name, value in checked(f"{self.kind} {self.name!r}", settings, self.rules).items():
            object.__setattr__(self, name, value)
        if type(self).step is Optimizer.step and not type(self).__module__.startswith("dagnet."):
            self._try()

    @np.errstate(all="ignore")
    def _try(self) -> None:
        """Refuse at once a rule that fails on a few numbers."""
        vector = np.linspace(-1, 1, 4)
        try:
            self.step(vector.copy(), vector, self.start(vector), step=1, learning_rate=self.learning_rate)
        except PluginError:
            raise
        except Exception as error:
            what = f"optimizer {self.name!r}: update raised {type(error).__name__}: {error}"
            raise PluginError(f"{what}; it must take arrays of floats") from error

    def update(
        self, parameter: Any, gradient: Any, state: State, step: Any, learning_rate: Any
    ) -> tuple[Any, State]:
        """The rule: the new parameter, and the new vectors of the state by name.

        Elementwise.  ``step`` counts from 1; what is made of it, of the rate and of the settings alone is
        calculated once a step and in double precision.  Branch on settings as you like, on ``step``
        by ``np.where``.
        """
        del parameter, gradient, state, step, learning_rate
        raise PluginError("an optimizer must define update() or override step(); see dagnet.Optimizer")

    def start(self, parameters: Array) -> dict[str, Array]:
        """A fresh state: one vector of zeros for each of ``state_names``."""
        return {name: np.zeros(parameters.shape, parameters.dtype) for name in self.state_names}

    def step(
        self, parameters: Array, gradient: Array, state: dict[str, Array], *, step: int, learning_rate: float,
        evaluate: Evaluate | None = None,
    ) -> None:  # fmt: skip
        """One step, in place: ``parameters`` and the vectors of ``state`` are overwritten.

        With ``searches`` there is ``evaluate(parameters)``: the loss of all rows, penalties included, and
        its gradient, which is not to be written to; both may be NaN or infinite but where the step begins.
        """
        del evaluate
        where = f"optimizer {self.name!r}: update"
        result = self.update(parameters, gradient, state, step, learning_rate)
        pair = isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], Mapping)
        if not pair or not set(self.state_names) <= set(result[1]):
            must = f"(parameter, {{{', '.join(map(repr, self.state_names))}: …}})"
            raise PluginError(expected(f"{where}: result", must, result))
        found = {"parameter": result[0], **{name: result[1][name] for name in self.state_names}}
        for name, vector in found.items():
            if np.shape(vector) != parameters.shape:
                must, got = f"of shape {parameters.shape}", Verbatim(f"shape {np.shape(vector)}")
                raise PluginError(expected(f"{where}: {name}", must, got, "write it elementwise"))
        copies = [np.array(vector) for vector in found.values()]
        for old, new in zip((parameters, *(state[name] for name in self.state_names)), copies, strict=True):
            old[...] = new

    @property
    def formula(self) -> Formula | None:
        """What :meth:`update` calculates, of parameter, gradient, state, step, rate and settings.

        The results are the parameter and the vectors in the order of ``state_names``.  None with the
        ``reason`` for a rule that is not elementwise.
        """
        return self._traced()[0]

    @property
    def reason(self) -> str:
        """Why there is no formula."""
        return self._traced()[1]

    def _traced(self) -> tuple[Formula | None, str]:
        """Formula and reason, from the last time where nothing that the rule reads has changed since."""
        if type(self).step is not Optimizer.step:
            return None, "overrides step()"
        own = type(self).__module__.startswith("dagnet.")  # they read nothing but their fields
        key = (type(self), *vars(self).values()) if own else (type(self), str(self))
        if own and key in _traces:
            return _traces[key][1]
        from dagnet.formula import same, what_it_reads  # noqa: PLC0415 - `import dagnet` need not pay

        reads = () if own else what_it_reads(self)
        if key not in _traces or not same(_traces[key][0], reads):
            while len(_traces) >= REMEMBERED:
                _traces.pop(next(iter(_traces)))
            _traces[key] = (reads, self._trace())
        return _traces[key][1]

    def _trace(self) -> tuple[Formula | None, str]:
        from dagnet.formula import Untraceable, traced  # noqa: PLC0415 - `import dagnet` need not pay

        vectors = [f"state_{name}" for name in self.state_names]
        arguments = ["parameter", "gradient", *vectors, STEP, RATE]

        def rule(parameter: Any, gradient: Any, *rest: Any) -> Any:
            state = dict(zip(self.state_names, rest[: len(vectors)], strict=True))
            step, rate, *settings = rest[len(vectors) :]
            twin = self._with(dict(zip(self.settings(), settings, strict=True)))
            new, found = twin.update(parameter, gradient, state, step, rate)
            return new, {name: found[name] for name in self.state_names}

        try:
            return traced(rule, arguments, self.settings(), numbers=(STEP, RATE)), ""
        except Untraceable as error:
            return None, str(error)

    def settings(self) -> dict[str, Any]:
        """The fields after ``learning_rate``; of a pair, ``betas`` say, one number each: ``betas[0]``."""
        found: dict[str, Any] = {}
        for item in fields(self)[1:]:  # type: ignore[arg-type]
            value = getattr(self, item.name)
            if isinstance(value, tuple) and all(map(is_number, value)):
                found.update({f"{item.name}[{k}]": number for k, number in enumerate(value)})
            else:
                found[item.name] = value
        return found

    def _with(self, settings: Mapping[str, Any]) -> Any:
        """A copy with other settings, symbols perhaps, which no rule is asked about."""
        twin = copy.copy(self)
        for item in fields(self)[1:]:  # type: ignore[arg-type]
            pair = tuple(value for name, value in settings.items() if name.startswith(f"{item.name}["))
            object.__setattr__(twin, item.name, settings.get(item.name, pair))
        return twin

    def __str__(self) -> str:
        inside = ", ".join(f"{item.name}={getattr(self, item.name)!r}" for item in fields(self))  # type: ignore[arg-type]
        return f"{self.name}({inside})"
