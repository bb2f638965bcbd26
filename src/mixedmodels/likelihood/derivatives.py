"""Derivatives of a row's log density to order three, and the rules of the chain.

A function of variables x_1..x_m is a table: exponents (i_1..i_m) ↦ ∂^{i_1+…+i_m} f / ∂x_1^{i_1}…∂x_m^{i_m}, an array
over rows. A family writes the table in the variables its formulas are shortest in (a mean, a precision); `substitute`
replaces one variable by a function of another (the inverse link, an exponential), `compose` puts a function of several
predictors into one variable.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations_with_replacement
from math import comb, prod
from typing import TypeAlias

import numpy as np

from ..typing import Array

Exponents: TypeAlias = tuple[int, ...]
Table: TypeAlias = dict[Exponents, Array]
Inner: TypeAlias = tuple[Array, Array, Array, Array]
"""A function of one variable: its value and three derivatives."""

HIGHEST = 3


def exponents(variables: int, order: int) -> Iterator[Exponents]:
    """Yield the exponents of every derivative of `variables` variables of total order ≤ `order`, the value first.

    Examples
    --------
    >>> list(exponents(2, 1))
    [(0, 0), (1, 0), (0, 1)]
    """
    for total in range(order + 1):
        for chosen in combinations_with_replacement(range(variables), total):
            yield exponents_of(chosen, variables)


def exponents_of(variables: tuple[int, ...], count: int) -> Exponents:
    """Return the exponents of ∂/∂x_a∂x_b… for the variables a, b, … of `count`.

    Examples
    --------
    >>> exponents_of((0, 2, 0), 3)
    (2, 0, 1)
    """
    return tuple(variables.count(k) for k in range(count))


def substitute(table: Mapping[Exponents, Array], variable: int, inner: Inner, order: int) -> Table:
    """Return the table of f(…, h(x), …) where `table` is that of f and `inner` is h with its derivatives.

    Faà di Bruno to order three: f₁h', f₂h'² + f₁h'', f₃h'³ + 3f₂h'h'' + f₁h'''.

    Examples
    --------
    >>> square = {(0,): 4.0, (1,): 4.0, (2,): 2.0, (3,): 0.0}
    >>> doubled = (2.0, 2.0, 0.0, 0.0)          # (2x)² at x = 1
    >>> {k[0]: float(v) for k, v in substitute(square, 0, doubled, 3).items()}
    {0: 4.0, 1: 8.0, 2: 8.0, 3: 0.0}
    """
    _, h1, h2, h3 = inner
    found: Table = {}
    for key in table:
        if sum(key) > order:
            continue
        power = key[variable]

        def of(times: int, key: Exponents = key) -> Array:
            return table[(*key[:variable], times, *key[variable + 1 :])]

        if power == 0:
            found[key] = of(0)
        elif power == 1:
            found[key] = of(1) * h1
        elif power == 2:
            found[key] = of(2) * h1**2 + of(1) * h2
        else:
            found[key] = of(3) * h1**3 + 3.0 * of(2) * h1 * h2 + of(1) * h3
    return found


def _partitions(items: tuple[int, ...]) -> Iterator[list[tuple[int, ...]]]:
    """Yield the set partitions of at most three positions."""
    if not items:
        yield []
        return
    first, rest = items[0], items[1:]
    for parts in _partitions(rest):
        yield [(first,), *parts]
        for k, part in enumerate(parts):
            yield [*parts[:k], (first, *part), *parts[k + 1 :]]


def compose(outer: Mapping[Exponents, Array], inner: Mapping[Exponents, Array], order: int) -> Table:
    """Return the table of f(x_1..x_m, g(y_1..y_p)) in (y_1..y_p, x_1..x_m).

    `outer` is the table of f in (x_1..x_m, g), `inner` that of g. A derivative sums over the partitions π of the y's in
    it: ∂_x^i ∂_g^{|π|} f · Π_{B∈π} ∂_B g.

    Examples
    --------
    >>> exp = {(k,): 1.0 for k in range(4)}     # exp(g) at g = 0
    >>> line = {(0,): 0.0, (1,): 2.0, (2,): 0.0, (3,): 0.0}
    >>> [float(v) for v in compose(exp, line, 3).values()]
    [1.0, 2.0, 4.0, 8.0]
    """
    own = len(next(iter(outer))) - 1
    below = len(next(iter(inner)))
    found: Table = {}
    for key in exponents(below + own, order):
        lower, upper = key[:below], key[below:]
        which = tuple(k for k in range(below) for _ in range(lower[k]))
        total: Array | float = 0.0
        for parts in _partitions(tuple(range(len(which)))):
            factors = [inner[exponents_of(tuple(which[i] for i in part), below)] for part in parts]
            total = total + outer[(*upper, len(parts))] * prod(factors, start=1.0)
        found[key] = np.asarray(total)
    return found


def added(first: Mapping[Exponents, Array], second: Mapping[Exponents, Array], sign: float = 1.0) -> Table:
    """Return the table of f + sign·g, both in the same variables."""
    return {key: value + sign * second[key] for key, value in first.items()}


def widened(table: Mapping[Exponents, Array], places: tuple[int, ...], variables: int, order: int) -> Table:
    """Return the table of f as a function of more variables, its own standing at `places`; zero elsewhere.

    Examples
    --------
    >>> line = {(0,): np.array([3.0]), (1,): np.array([2.0])}
    >>> {k: float(v[0]) for k, v in widened(line, (1,), 2, 1).items()}
    {(0, 0): 3.0, (1, 0): 0.0, (0, 1): 2.0}
    """
    zero = np.zeros_like(next(iter(table.values())))
    found: Table = {}
    for key in exponents(variables, order):
        own = tuple(key[place] for place in places)
        found[key] = table[own] if sum(own) == sum(key) else zero
    return found


def product(first: Mapping[Exponents, Array], second: Mapping[Exponents, Array], order: int) -> Table:
    """Return the table of f·g, both in the same variables, by Leibniz's rule.

    Examples
    --------
    >>> line = {(0,): 3.0, (1,): 1.0, (2,): 0.0}     # x at 3
    >>> [float(v) for v in product(line, line, 2).values()]
    [9.0, 6.0, 2.0]
    """
    found: Table = {}
    for key in exponents(len(next(iter(first))), order):
        total: Array | float = 0.0
        for part in np.ndindex(*(k + 1 for k in key)):
            rest = tuple(k - i for k, i in zip(key, part, strict=True))
            ways = prod(comb(k, i) for k, i in zip(key, part, strict=True))
            total = total + ways * first[part] * second[rest]
        found[key] = np.asarray(total)
    return found


def up_to(order: int, *derivatives: Array) -> Table:
    """Return the table of a function of one variable from its value and derivatives, those above `order` left out.

    Examples
    --------
    >>> up_to(1, 9.0, 6.0, 2.0)          # x² at 3
    {(0,): 9.0, (1,): 6.0}
    """
    return {(k,): value for k, value in enumerate(derivatives[: order + 1])}


def differentiated(table: Mapping[Exponents, Array], variable: int, order: int) -> Table:
    """Return the table of ∂f/∂x to `order`; that of f goes one further.

    Examples
    --------
    >>> differentiated({(0,): 9.0, (1,): 6.0, (2,): 2.0}, 0, 1)
    {(0,): 6.0, (1,): 2.0}
    """
    found: Table = {}
    for key in exponents(len(next(iter(table))), order):
        raised = tuple(k + (place == variable) for place, k in enumerate(key))
        found[key] = table[raised]
    return found


def exponential(zeta: Array) -> Inner:
    """Return e^ζ with its three derivatives."""
    value = np.exp(zeta)
    return value, value, value, value
