"""What a training run shows: its history, and the protocol that callbacks follow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

from dagnet.errors import DataError, did_you_mean, expected, needed
from dagnet.markup import counted, number, table_html
from dagnet.values import as_real

OWN = ("epoch", "loss", "validation_loss")
HEADS = ("loss[", "validation_loss[")
"""The names that ``fit`` and its logs use themselves."""
NAN = float("nan")
SHOWN = 12
"""How many columns a history prints."""


class History(Mapping[str, list[float]]):
    """What was recorded in each epoch, as ``history["loss"]`` and ``history["validation_loss"]``.

    A mapping from the name of a quantity to its list, one entry an epoch, NaN where nothing was
    recorded.  A callback adds columns of its own with :meth:`record`.

    >>> history = History({"loss": [0.5, 0.25]})
    >>> history["loss"][-1], history.epochs, history.to_dict(), history.to_frame().index.name
    (0.25, 2, {'loss': [0.5, 0.25]}, 'epoch')
    """

    state: Any = None
    """What the optimizer remembered at the end, by name: ``fit(…, state=history)`` goes on with it."""

    def __init__(self, columns: Mapping[str, Iterable[float]] = MappingProxyType({})) -> None:
        self._columns: dict[str, list[float]] = {name: [float(x) for x in xs] for name, xs in columns.items()}
        epochs = self.epochs
        for name in self._columns:
            self._reaching(name, epochs)

    def __getitem__(self, name: str) -> list[float]:
        try:
            return self._columns[name]
        except KeyError:
            mend = did_you_mean(name, self._columns, listed=8)
            raise KeyError(f"no {name!r} in this history{mend}") from None

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    @property
    def epochs(self) -> int:
        """How many epochs were recorded."""
        return max(map(len, self._columns.values()), default=0)

    def append(self, **values: float) -> None:
        """Begin one more epoch, as ``fit`` does after its last batch; columns not named have NaN there."""
        self.extend(**{name: [float(value)] for name, value in values.items()})

    def extend(self, **columns: list[float]) -> None:
        """Begin as many more epochs as each column has numbers."""
        epochs = self.epochs
        for name, column in columns.items():
            self._reaching(name, epochs).extend(column)
        for name in self._columns:
            self._reaching(name, self.epochs)

    def record(self, name: str, value: Any) -> None:
        """Add a number to the last epoch, in a column of a callback's own; see :meth:`Callback.on_epoch_end`.

        Parameters
        ----------
        name
            The column; it begins with NaN for the epochs before.
        value
            One real number, NaN and ±inf included; a second one for the same epoch replaces the first.

        Raises
        ------
        DataError
            For a name that is no text or that ``fit`` itself uses (``"epoch"``, ``"loss"``,
            ``"validation_loss"``), for what is not one number, and before the first epoch's end.

        Examples
        --------
        >>> history = History({"loss": [0.5, 0.25]})
        >>> history.record("accuracy", 0.75)
        >>> history["accuracy"]
        [nan, 0.75]
        """
        if not isinstance(name, str) or not name or name in OWN or name.startswith(HEADS):
            must = f"text, and none of the columns of fit itself, {', '.join(map(repr, OWN))}"
            raise DataError(expected("record: the name of a column", must, name, "choose another name"))
        given = as_real(value)
        if given is None or given.ndim:
            raise DataError(expected(f"record: {name!r}", "one real number", value, "write float(…)"))
        if not self.epochs:
            raise DataError(f"record: {name!r} has no epoch to belong to yet; record it in on_epoch_end")
        self._reaching(name, self.epochs)[-1] = float(given)

    def _reaching(self, name: str, epochs: int) -> list[float]:
        """A column with so many entries, NaN where it has none yet."""
        column = self._columns.setdefault(name, [])
        column += [NAN] * (epochs - len(column))
        return column

    def to_dict(self) -> dict[str, list[float]]:
        """A plain copy, ready for ``pandas.DataFrame`` or JSON."""
        return {name: list(column) for name, column in self._columns.items()}

    def to_frame(self) -> Any:
        """A ``pandas.DataFrame``: a column for each quantity, a row for each epoch, numbered from 1."""
        pandas = needed("history.to_frame()", "pandas", "pandas")
        return pandas.DataFrame(self.to_dict(), index=pandas.RangeIndex(1, self.epochs + 1, name="epoch"))

    def plot(self, ax: Any = None) -> Any:
        """Draw the losses by epoch on matplotlib's axes, by default on a figure's own; returns the axes.

        The distribution dagnet-matplotlib draws: PluginError where it is not installed.
        """
        plugin = needed("history.plot()", "dagnet_matplotlib", "dagnet-matplotlib")
        return plugin.training_curves(self, ax)

    def __repr__(self) -> str:
        said = [f"{name}={column[-1]:.6g}" for name, column in self._columns.items() if column]
        last = ", ".join([*said[:SHOWN], f"and {len(said) - SHOWN:,} more"] if len(said) > SHOWN else said)
        return f"<History: {counted(self.epochs, 'epoch')}{': ' + last if last else ''}>"

    def _repr_html_(self) -> str:
        shown = sorted({*range(3), *range(self.epochs - 7, self.epochs)} & set(range(self.epochs)))
        columns = dict(list(self._columns.items())[:SHOWN])
        rows = [(str(epoch + 1), *(number(column[epoch]) for column in columns.values())) for epoch in shown]
        return table_html(f"History: {self.epochs} epochs", ("epoch", *columns), rows)


class Run(Protocol):
    """What a callback is given of a training run.  Only ``learning_rate`` and ``stop`` may be set.

    What is written to ``model.parameters`` and its views is what the next step starts from;
    ``history.record(name, value)`` adds a column.

    >>> import dagnet
    >>> class Enough(dagnet.Callback):
    ...     def on_batch_end(self, run: dagnet.Run):
    ...         run.stop = run.loss < 0.1
    """

    model: Any
    """The :class:`dagnet.Network` that learns."""
    epoch: int
    """The epoch in progress, from 1; 0 before the first."""
    epochs: int
    """How many there are to be."""
    batch: int
    """The batch in progress, from 1."""
    batches: int
    rows: int
    loss: float
    """The last batch's loss."""
    history: History
    """What the complete epochs gave."""
    learning_rate: float
    """What the next step uses."""
    stop: bool
    """Set it, and the run ends after the batch in progress."""
    failed: bool
    """Whether an exception ended the run; false until :meth:`Callback.on_training_end`."""

    def snapshot(self) -> dict[str, Any]:
        """All that an exact resume needs: arrays, numbers, strings and dicts of these."""


class Callback:
    """Base of callbacks: every method does nothing, override what you need.

    Each is given the run, a :class:`dagnet.Run`: ``run.model`` is the network, ``run.history`` what
    the epochs gave, ``run.epoch`` of ``run.epochs``, ``run.batch`` of ``run.batches`` and ``run.loss``
    are where it stands; ``run.learning_rate`` and ``run.stop`` may be set.

    ``state`` and ``restore`` let a checkpoint carry the callback along; a state is a dict of
    arrays, numbers, strings, lists and dicts.  Callbacks are called in the order in which they
    are given, at the end of training in the reverse order; those with ``runs_last`` are called
    after all others, so that they see what the others have decided.

    Examples
    --------
    >>> import dagnet
    >>> class Halve(dagnet.Callback):
    ...     def on_epoch_end(self, run):
    ...         run.learning_rate /= 2
    >>> net = dagnet.Network(dagnet.layered([1, 1]), seed=0)
    >>> net.fit([[1.0]], [[2.0]], epochs=3, callbacks=[Halve()], progress=False).epochs
    3
    """

    runs_last: ClassVar[bool] = False
    every_batch: ClassVar[bool] = True
    """False: of batches that are learned from in one go, ``on_batch_end`` need hear of the last alone."""
    shows: ClassVar[bool] = False
    """True: it writes files or shows something, and changes nothing of the run; of processes that train as
    one the first alone calls it."""

    def on_training_begin(self, run: Run) -> None:
        """Before the first epoch, after a resume was restored."""

    def on_epoch_begin(self, run: Run) -> None:
        """Before the first batch of an epoch."""

    def on_batch_begin(self, run: Run) -> None:
        """Before a batch."""

    def on_gradient(self, run: Run, flat: Any) -> None:
        """Between a batch's backward pass and its step.

        ``flat`` is the gradient of the batch's loss, in the order of ``run.model.parameters``, 0 where
        frozen.  What is written to it is learned from; penalties and clipping come after.
        """

    def on_batch_end(self, run: Run) -> None:
        """After a batch's step; ``run.loss`` is its loss."""

    def on_epoch_end(self, run: Run) -> None:
        """After an epoch was recorded in ``run.history``.

        ``run.history.record("accuracy", 0.9)`` adds a column of your own to it: ``fit`` returns it,
        checkpoints keep it, and callbacks that come after this one in the list may watch it, as
        ``EarlyStopping(monitor="accuracy")`` does (the lowest value is the best).
        """

    def on_training_end(self, run: Run) -> None:
        """After the last epoch, also when the run was stopped or failed."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint should keep of this callback."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`state` returned."""
