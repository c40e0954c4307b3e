"""Which nodes matter, and is it more than chance: what many fits say, and which nodes are alike."""

from __future__ import annotations

import textwrap
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from dagnet.arrays import Array
from dagnet.errors import needed
from dagnet.explain.report import Report, Shown, Table
from dagnet.markup import counted, label, names_text, number
from dagnet.registry import origin
from dagnet.scores import ranks, spearman
from dagnet.topology import Topology

LEVEL, SHOWN, LISTED, WIDTH, COLLINEAR, BLOCK = 0.05, 10, 3, 100, 0.999, 1024
NULLS = {
    "labels": "the rows of the labels permuted",
    "node": "those inputs permuted over rows that reach the outputs through the node alone",
}
METHODS = """\
Importance of {nodes} was found with {software}.  The statistic of a node is its mean absolute attribution
({method}) over {rows} rows, averaged over networks of the graph that were trained from {starts} (seeds {seed}
to {last}; {settings}); intervals are Student's, 95 %, over these.  It was compared with {shuffles} averages
of as many networks, each with {what}: p = (1 + k)/(1 + {shuffles}), k of them at least as large (Phipson and
Smyth, 2010), adjusted over the nodes (Benjamini and Hochberg, 1995).  Nodes that the graph cannot tell apart
({alike} here) were judged as groups."""
COLUMNS = ("mean", "low", "high", "z", "p", "p_adjusted")
Groups = tuple[tuple[Hashable, ...], ...]


def student(freedom: int) -> tuple[Array, Array]:
    """Values t and P(|T| ≤ t) of Student's distribution: ∫cosⁿ⁻¹ up to arctan(t/√n), to 1e-7."""
    angles = np.linspace(0, np.pi / 2, 20_001)
    density = np.cos(angles) ** (freedom - 1)
    sums = np.append(0.0, np.cumsum(density[1:] + density[:-1]))
    return np.sqrt(freedom) * np.tan(angles), sums / sums[-1]


def twins(topology: Topology) -> Groups:
    """Hidden nodes that an automorphism of the graph exchanges: same parents, children and attributes.

    They are found by a hash of all that, and proved by comparing it.  Start values count only where
    they are frozen: what learns can become the other's.
    """
    n, found, free = topology.n_nodes, dict[Any, list[Hashable]](), topology.edge_trainable
    share = np.full(len(free), -1) if topology.share is None else topology.share
    weight, several = topology.weight_start[topology.weight_starts[:-1]], np.diff(topology.weight_starts) > 1
    alone = np.where(~free & several, np.arange(len(free)), -1)  # not compared: alike with none
    said = [free, share, np.where(free, 0, weight), alone, *topology.edge_words.values()]
    kinds = np.unique(np.nan_to_num(np.column_stack(said), nan=-1), axis=0, return_inverse=True)[1].ravel()
    free, bias = topology.bias_trainable, topology.bias_start[topology.unit_starts[:-1]]
    alone = np.where(~free & ((topology.units > 1) | bool(topology.node_starts)), np.arange(n), -1)
    own = [topology.units, topology.activation_of, topology.aggregation_of, topology.has_bias, free]
    table = np.column_stack([*own, np.where(free, 0, bias), alone])
    words = [said for word, said in topology.node_words.items() if word != "aggregation"]
    for node in np.flatnonzero(~(topology.is_input | topology.is_output)).tolist():
        both = topology.parents, topology.children
        edges = [np.sort(kinds[rows.edges_of(node)] * n + rows.of(node)).tobytes() for rows in both]
        key = table[node].tobytes(), *edges, *(said.get(node) for said in words)
        found.setdefault(key, []).append(topology.nodes[node])
    return tuple(tuple(group) for group in found.values() if len(group) > 1)


def chains(topology: Topology) -> Groups:
    """Hidden nodes in a row, each the only child of the one before, which is its only parent."""
    sources, targets, hidden = topology.sources, topology.targets, ~(topology.is_input | topology.is_output)
    single = hidden[sources] & hidden[targets] & (topology.parents.degrees()[targets] == 1)
    single &= topology.children.degrees()[sources] == 1
    following, found = dict(zip(sources[single].tolist(), targets[single].tolist(), strict=True)), []
    for node in sorted(following.keys() - following.values()):
        row = [node]
        while row[-1] in following:
            row.append(following[row[-1]])
        found.append(tuple(topology.nodes[one] for one in row))
    return tuple(found)


def collinear(values: Iterable[Array]) -> list[Array]:
    """Numbers of nodes that have |r| ≥ 0.999 with the first of their group in all (rows, nodes)."""
    first = np.zeros(0, np.int64)
    for one in values:
        unit = (one - one.mean(axis=0, dtype=np.float64)).T
        norm = np.linalg.norm(unit, axis=1, keepdims=True)
        unit /= np.where(norm > 1e-9 * np.abs(one).max(axis=0)[:, None], norm, np.inf)
        numbers = np.arange(len(unit))
        if not len(first):
            first = numbers.copy()
            for block in np.split(numbers, range(BLOCK, len(unit), BLOCK)):
                near = np.abs(unit[block] @ unit[: block[-1] + 1].T) >= COLLINEAR
                near[np.arange(len(block)), block] = True
                first[block] = near.argmax(axis=1)
        first = np.where(np.abs((unit * unit[first]).sum(axis=1)) >= COLLINEAR, first, numbers)
    groups = [np.flatnonzero(first == one) for one in np.unique(first)]
    return [group for group in groups if len(group) > 1]


def judged(own: Array, null: Array) -> dict[str, Array]:
    """The columns of :class:`Importance`, of statistics (seeds, n) and, under the null, (shuffles, n)."""
    (seeds, n), shuffles, mean = own.shape, len(null), own.mean(axis=0)
    reach = np.full(n, np.nan)
    if seeds > 1:
        t, share = student(seeds - 1)
        reach = np.interp(0.95, share, t) * own.std(axis=0, ddof=1) / np.sqrt(seeds)
    spread = null.std(axis=0, ddof=1) if shuffles > 1 else np.zeros(n)
    z = (mean - null.mean(axis=0)) / np.where(spread > 1e-9 * np.abs(mean), spread, np.nan)
    p = (1 + (null >= mean * (1 - 1e-9)).sum(axis=0)) / (1 + shuffles)
    order, adjusted = np.argsort(-p), np.empty(n)
    adjusted[order] = np.minimum.accumulate(np.minimum(p[order] * n / np.arange(n, 0, -1), 1))
    return dict(zip(COLUMNS, (mean, mean - reach, mean + reach, z, p, adjusted), strict=True))


@dataclass(frozen=True, eq=False, repr=False)
class Judged(Shown):
    """Columns by name: ``print`` shows the first rows by p, and notes."""

    word: str
    names: Sequence[Hashable]
    columns: Mapping[str, Array]
    title: str
    notes: Sequence[str]

    def to_frame(self) -> Any:
        """A ``pandas.DataFrame``, a row a name."""
        pandas = needed("to_frame()", "pandas", "pandas")
        index = pandas.Index(self.names, name=self.word, tupleize_cols=False)
        return pandas.DataFrame(dict(self.columns), index)

    @property
    def table(self) -> Table:
        """The first rows by p."""
        order = np.lexsort((-next(iter(self.columns.values())), self.columns["p"])).tolist()
        columns = self.columns.values()
        rows = [[label(self.names[at]), *(number(float(c[at])) for c in columns)] for at in order[:SHOWN]]
        return Table((self.word, *self.columns), rows)

    def _report(self) -> Report:
        more = len(self.names) - SHOWN
        notes = [f"… and {more:,} more: .to_frame()"] if more > 0 else []
        return Report("", self.title, [self.table], [*notes, *self.notes])


@dataclass(frozen=True, eq=False, repr=False)
class Importance(Judged):
    """What :func:`dagnet.importance` has found; ``print`` says it on a screen.

    Attributes
    ----------
    columns
        By node: mean, low, high (95 % of the mean over seeds), z, p, p_adjusted; ``to_frame()`` has them.
        Twins, which share what they do by chance, are judged by the mean over them: one z and p for all.
    groups
        The same of groups, by ``groups.to_frame()``.
    by_seed, under_null
        (seeds, nodes) mean |attribution| over the rows in each fit; (shuffles, nodes) averages of as many.
    twins, chains, collinear
        Nodes that no data can tell apart; nodes in a row that act as one; nodes whose values on this X are
        collinear, |r| ≥ 0.999, in every fit.
    asked
        Method, null, first seed, how many rows, and the settings of the fits.
    stability
        ``top``, the mean share of the ``k`` highest nodes that two seeds have in common; ``spearman``, the
        mean rank correlation of two seeds; ``kendall``, W of all (Kendall and Smith, 1939; corrected for
        ties); and rank correlations of the mean: with that under the ``null``, with the number of
        ``ancestors``, with ``depth``.  NaN where not defined.

    Examples
    --------
    >>> import dagnet, numpy as np
    >>> X = np.random.default_rng(0).normal(size=(40, 2))
    >>> found = dagnet.importance(dagnet.layered([2, 2, 1]), X, X[:, :1], seeds=2, shuffles=3, epochs=1)
    >>> len(found.to_frame())
    4
    """

    groups: Judged
    by_seed: Array
    under_null: Array
    twins: Groups
    chains: Groups
    collinear: Groups
    stability: Mapping[str, float]
    asked: Mapping[str, Any]

    @classmethod
    def of(
        cls, asked: Mapping[str, Any], names: Sequence[Sequence[Hashable]], statistics: tuple[Array, Array],
        alike: tuple[Groups, Groups, Groups], shape: Mapping[str, Array],
    ) -> Importance:  # fmt: skip
        """From names of nodes and groups, statistics of both, and what of the graph may explain ranks."""
        n, (own, null) = len(names[0]), statistics
        title = "{method}, null: {null}, ".format(**asked)
        title += f"{counted(len(own), 'seed')}, {counted(len(null), 'shuffle')}"
        said = _stability(own[:, :n], null[:, :n], shape)
        agree = "of the {k} highest two seeds share {top:.0%}; Kendall's W {kendall:.2f}".format(**said)
        notes = [agree] if len(own) > 1 else ["one seed: nothing is known of how much seeds differ"]
        for word, found in zip(("twins", "chains", "collinear on this X"), alike, strict=True):
            listed = "; ".join(names_text(group, LISTED) for group in found[:LISTED])
            rest = f"; … {len(found) - LISTED:,} more groups" if len(found) > LISTED else ""
            notes += [f"{word}: {listed}{rest}"] if found else []
        nodes, grouped = judged(own[:, :n], null[:, :n]), judged(own[:, n:], null[:, n:])
        places = {name: place for place, name in enumerate(names[0])}
        tied = own[:, :n].copy(), null[:, :n].copy()
        for group in alike[0]:
            own_places = [places[name] for name in group]
            for each in tied:
                each[:, own_places] = each[:, own_places].mean(axis=1, keepdims=True)
        nodes |= {word: column for word, column in judged(*tied).items() if word in {"z", "p", "p_adjusted"}}
        groups = Judged("group", names[1], grouped, "", ())
        rows = own[:, :n], null[:, :n]
        return cls("node", names[0], nodes, title, notes, groups, *rows, *alike, said, asked)

    @cached_property
    def found(self) -> tuple[Hashable, ...]:
        """The nodes with p_adjusted ≤ 0.05, the largest mean first."""
        order = np.argsort(-self.columns["mean"], kind="stable").tolist()
        return tuple(self.names[at] for at in order if self.columns["p_adjusted"][at] <= LEVEL)

    @property
    def sentence(self) -> str:
        """What a referee would write."""
        n, shuffles, alike = len(self.names), len(self.under_null), sum(map(len, self.twins))
        text = f"{len(self.found):,} of {counted(n, 'node')} contribute more than under the null"
        text += f" ({names_text(self.found, LISTED)})" if self.found else ""
        text += f", at a false discovery rate of 5 % ({counted(shuffles, 'shuffle')})."
        if n / (1 + shuffles) > LEVEL and not self.found:
            text += f" So few shuffles cannot show it of a single node: that takes {n / LEVEL - 1:,.0f}."
        ranked = " Ranks correlate by " + "{spearman:.2f} between fits, " * (len(self.by_seed) > 1)
        ranked += "{null:.2f} with those under the null, {ancestors:.2f} with the number of ancestors,"
        ranked += " {depth:.2f} with depth."
        text += ranked.format(**self.stability)
        return text + (f" {alike:,} nodes have twins: only their groups can be reported." if alike else "")

    @property
    def methods(self) -> str:
        """A paragraph for a methods section: fits, seeds, the null, how p was adjusted, versions."""
        (seeds, n), shuffles, asked = self.by_seed.shape, len(self.under_null), self.asked
        software = f"{origin('losses', 'squared_error')} and NumPy {np.__version__}"
        return METHODS.replace("\n", " ").format(
            **asked, nodes=counted(n, "node"), software=software, starts=counted(seeds, "random start"),
            last=asked["seed"] + seeds - 1, shuffles=shuffles, what=NULLS[asked["null"]],
            alike=sum(map(len, self.twins)),
        )  # fmt: skip

    def _report(self) -> Report:
        found, grouped = super()._report(), [self.groups.table] if self.groups.names else []
        notes = [*found.notes, *textwrap.wrap(self.sentence, WIDTH)]
        return Report("Importance: ", self.title, [*found.blocks, *grouped], notes)


@np.errstate(all="ignore")
def _stability(own: Array, null: Array, shape: Mapping[str, Array]) -> dict[str, float]:
    """See :class:`Importance`."""
    (seeds, n), mean = own.shape, own.mean(axis=0)
    k, ranked = min(SHOWN, (n + 2) // 3), np.array([ranks(row) for row in own]) - (n + 1) / 2
    top, size = np.zeros((seeds, n)), np.linalg.norm(ranked, axis=1, keepdims=True)
    np.put_along_axis(top, np.argsort(-own, axis=1, kind="stable")[:, :k], 1.0, axis=1)
    pairs, others = ~np.eye(seeds, dtype=bool), np.float64(seeds * (seeds - 1))
    return {
        "k": k,
        "top": (top @ top.T)[pairs].sum() / k / others,
        "spearman": (ranked @ ranked.T / (size * size.T))[pairs].sum() / others,
        "kendall": (ranked.sum(axis=0) ** 2).sum() / (seeds * (size**2).sum()),
        **{name: spearman(mean, by) for name, by in {"null": null.mean(axis=0), **shape}.items()},
    }
