"""A chain rule as LaTeX."""

from __future__ import annotations

from dagnet.explain.chain_parts import ChainParts, Derivative, Factor, Path
from dagnet.explain.chain_text import elided, path_count
from dagnet.explain.latex import aligned, fraction, latex_name, latex_quantity, latex_text

__all__ = ["chain_latex"]

TERMS = 4


def chain_latex(rule: ChainParts) -> str:
    """The symbols, the same in numbers, the sum; an ``aligned`` display."""
    if not rule.derivatives:
        return aligned([f"{fraction('L', 'w')} &= 0"])
    return aligned(_by_path(rule) if rule.paths else _by_node(rule))


def _symbol(factor: Factor) -> str:
    of = "L" if factor.of is None else latex_name(factor.of)
    return fraction(of, "w" if factor.kind == "weight" else latex_name(factor.by))


def _product(texts: list[str]) -> str:
    return r" \cdot ".join(elided(texts, lambda _: r"\cdots", head=8, tail=4))


def _by_path(rule: ChainParts) -> list[str]:
    lines = []
    for place, path in enumerate(rule.paths):
        head = rf"{fraction('L', 'w')} &=" if place == 0 else r"&\quad +"
        lines.append(f"{head} {_product([_symbol(factor) for factor in path.factors])}")
    for place, path in enumerate(rule.paths):
        head = "&=" if place == 0 else r"&\quad +"
        lines.append(f"{head} {_numbers(path, first=place == 0)}")
    return [*lines, f"&= {latex_quantity(rule.value)}"]


def _numbers(path: Path, *, first: bool) -> str:
    r"""The factors' values; ``v^\top ⊙ M`` multiplies the rows of a matrix ∂h/∂W by ∂L/∂h."""
    numbers = [latex_quantity(f.value, inside=place > 0 or not first) for place, f in enumerate(path.factors)]
    if isinstance(path.factors[-1].value, float):
        return _product(numbers)
    return rf"\left({_product(numbers[:-1])}\right)^{{\top}} \odot {numbers[-1]}"


def _by_node(rule: ChainParts) -> list[str]:
    note = latex_text(f"{path_count(rule.n_paths)}, grouped by node")
    lines = [_node_line(derivative) for derivative in rule.derivatives]
    lasts = [rf"{fraction('L', latex_name(last.of))} \cdot {_symbol(last)}" for last in rule.lasts]
    summed = " + ".join(lasts[:TERMS]) + (r" + \cdots" if len(lasts) > TERMS else "")
    return [
        f"&{note}",
        *elided(lines, lambda _: r"&\;\;\vdots", head=12, tail=6),
        f"{fraction('L', 'w')} &= {summed} = {latex_quantity(rule.value)}",
    ]


def _node_line(derivative: Derivative) -> str:
    terms = [
        _symbol(factor) if child is None else rf"{fraction('L', latex_name(child))} \cdot {_symbol(factor)}"
        for child, factor in derivative.terms[:TERMS]
    ]
    more = r" + \cdots" if len(derivative.terms) > TERMS else ""
    left = fraction("L", latex_name(derivative.node))
    if len(derivative.terms) == 1 and derivative.terms[0][0] is None:
        return f"{left} &= {latex_quantity(derivative.value)}"
    return f"{left} &= {' + '.join(terms)}{more} = {latex_quantity(derivative.value)}"
