"""A chain rule as text and as HTML, the way a textbook writes it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from dagnet.explain.chain_parts import ChainParts, Derivative, Factor, Number, Path
from dagnet.explain.numbers import product, quantity, signed_sum, term
from dagnet.markup import label, table_html
from dagnet.model.naming import edge_label

__all__ = ["chain_html", "chain_text", "chain_title", "elided", "path_count"]

T = TypeVar("T")
HEAD, TAIL = 24, 8
TERMS = 4


def chain_text(rule: ChainParts) -> str:
    """Symbols, the factors with their numbers, the products, the sum."""
    account = _account(rule)
    lines = [account.title, ""]
    lines += [f"  {line}" for line in account.symbols]
    lines += ["", *_aligned(account.factors)] if account.factors else []
    lines += ["", *_aligned(account.products)] if account.products else []
    return "\n".join([*lines, "", f"  {account.conclusion}"])


def chain_html(rule: ChainParts) -> str:
    """The same as tables; every name is escaped."""
    account = _account(rule)
    tables = [("factors", "factor", account.factors), ("products", "", account.products)]
    shown = [(caption, (what, "is", "value"), rows) for caption, what, rows in tables if rows]
    notes = [*[""] * len(shown), account.conclusion]  # under the last table
    head = table_html(account.title, ("in symbols",), [("\n".join(account.symbols),)], notes[0])
    rest = [table_html(*table, note, left=(0, 1)) for table, note in zip(shown, notes[1:], strict=True)]
    return "".join([head, *rest])


class _Account(NamedTuple):
    """What is written, before it is text or HTML; rows are (what, how, value)."""

    title: str
    symbols: list[str]
    factors: list[tuple[str, str, str]]
    products: list[tuple[str, str, str]]
    conclusion: str


def _aligned(rows: Sequence[tuple[str, str, str]]) -> list[str]:
    width = max(len(row[0]) for row in rows)
    return [
        f"  {what:<{width}} = {how}{' = ' if how and value else ''}{value}" if what else f"  {how}"
        for what, how, value in rows
    ]


def chain_title(rule: ChainParts) -> str:
    """One line: which weight, how many paths, w and L."""
    others = len(rule.edges) - 1
    shared = f" (one weight with {others:,} other edge{'s' if others > 1 else ''})" if others else ""
    return (
        f"∂L/∂w for {edge_label(rule.edge)}{shared}: {path_count(rule.n_paths)}; "
        f"w = {quantity(rule.weight)}, L = {quantity(rule.loss)} ({rule.loss_name})"
    )


def path_count(n: float) -> str:
    """How many paths, in words."""
    if n == 1:
        return "1 path"
    return f"{n:,.0f} paths" if n < 1e15 else f"about {n:.1e} paths"


def elided(items: Sequence[T], say: Callable[[int], T], head: int = HEAD, tail: int = TAIL) -> list[T]:
    """The first and last items, and between them a word on how many are left out."""
    if len(items) <= head + tail + 1:
        return list(items)
    return [*items[:head], say(len(items) - head - tail), *items[-tail:]]


def symbol(factor: Factor) -> str:
    """∂of/∂by."""
    of = "L" if factor.of is None else label(factor.of)
    return f"∂{of}/∂{'w' if factor.kind == 'weight' else label(factor.by)}"


def _account(rule: ChainParts) -> _Account:
    if not rule.derivatives:
        where = ", ".join(label(edge[1]) for edge in rule.edges[:TERMS])
        return _Account(chain_title(rule), [f"{where} reaches no output"], [], [], "∂L/∂w = 0")
    return _by_path(rule) if rule.paths else _by_node(rule)


# -- path by path ------------------------------------------------------------------------


def _by_path(rule: ChainParts) -> _Account:
    written = [" · ".join(_short([symbol(factor) for factor in path.factors])) for path in rule.paths]
    symbols = [f"{'∂L/∂w =' if not place else '      +'} {text}" for place, text in enumerate(written)]
    products = [_path_product(rule, number, path) for number, path in enumerate(rule.paths, 1)]
    if len(rule.paths) == 1:
        conclusion = f"∂L/∂w = {products[0][1]} = {quantity(rule.value)}"
        products = []
    else:
        terms = [quantity(path.value) for path in rule.paths]
        conclusion = f"∂L/∂w = {signed_sum(terms)} = {quantity(rule.value)}"
    return _Account(chain_title(rule), symbols, _factor_rows(rule), products, conclusion)


def _short(texts: Sequence[str]) -> list[str]:
    return elided(texts, lambda n: f"… {n:,} more …", head=8, tail=4)


def _path_product(rule: ChainParts, number: int, path: Path) -> tuple[str, str, str]:
    edge = f" ({edge_label(path.edge)})" if len(rule.edges) > 1 else ""
    values = [product([factor.value]) if not place else term(factor.value)
              for place, factor in enumerate(path.factors)]  # fmt: skip
    return f"path {number}{edge}", " · ".join(_short(values)), quantity(path.value)


def _factor_rows(rule: ChainParts) -> list[tuple[str, str, str]]:
    rows = [(symbol(factor), _how(rule, factor), quantity(factor.value)) for factor in rule.factors]
    return elided(rows, lambda n: ("", f"… {n:,} more factors …", ""))


def _how(rule: ChainParts, factor: Factor) -> str:
    """Where a factor's number comes from: g′(z) times a weight, or times a value."""
    if factor.of is None or factor.slope is None or factor.times is None:
        output = rule.facts[factor.by]
        target = "" if output.target is None else f", y = {quantity(output.target)}"
        return f"{rule.loss_name}′({quantity(output.a)}{target})"
    fact = rule.facts[factor.of]
    by = label(factor.by[0]) if factor.kind == "weight" else "w"  # type: ignore[index]
    if fact.activation == "identity":
        return by
    named = f"{fact.activation}′({quantity(fact.z)}) · {by}"
    return f"{named} = {product([factor.slope, factor.times])}"


# -- node by node ------------------------------------------------------------------------


def _by_node(rule: ChainParts) -> _Account:
    values = {derivative.node: derivative.value for derivative in rule.derivatives}
    rows = [_node_row(derivative, values) for derivative in rule.derivatives]
    lasts = [f"∂L/∂{label(last.of)} · {symbol(last)}" for last in rule.lasts]
    numbers = [f"{quantity(values[last.of])} · {term(last.value)}" for last in rule.lasts]
    more = "" if len(lasts) <= TERMS else f" + {len(lasts) - TERMS:,} more"
    summed = f"{signed_sum(numbers[:TERMS])}{more}"
    return _Account(
        chain_title(rule),
        [f"too many paths to write out; grouped by node: ∂L/∂w = {' + '.join(lasts[:TERMS])}{more}",
         "∂L/∂node = sum over its children of ∂L/∂child · ∂child/∂node"],
        [],
        elided(rows, lambda n: ("", f"… {n:,} more nodes …", "")),
        f"∂L/∂w = {summed} = {quantity(rule.value)}",
    )  # fmt: skip


def _node_row(derivative: Derivative, values: Mapping[Hashable, Number]) -> tuple[str, str, str]:
    terms = list(_terms(derivative.terms[:TERMS], values))
    more = len(derivative.terms) - TERMS
    how = " + ".join(text for text, _ in terms)
    numbers = signed_sum([text for _, text in terms])
    if more > 0:
        how, numbers = f"{how} + {more:,} more", f"{numbers} + …"
    if len(derivative.terms) == 1 and derivative.terms[0][0] is None:
        return f"∂L/∂{label(derivative.node)}", "", quantity(derivative.value)
    return f"∂L/∂{label(derivative.node)}", f"{how} = {numbers}", quantity(derivative.value)


def _terms(
    terms: Iterable[tuple[Hashable | None, Factor]], values: Mapping[Hashable, Number]
) -> Iterable[tuple[str, str]]:
    """Each term in symbols and in numbers."""
    for child, factor in terms:
        if child is None:
            yield f"∂L/∂{label(factor.by)} of the loss", quantity(factor.value)
        else:
            above = values[child]
            yield (
                f"∂L/∂{label(child)}·{symbol(factor)}",
                f"{quantity(above)}·{term(factor.value)}",
            )
