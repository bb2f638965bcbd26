"""Tools of a fit named by string and imported on first use."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from importlib import import_module
from types import MethodType
from typing import Any, Generic, TypeVar

from .errors import carried_through

Result = TypeVar("Result")


def load(target: str) -> Callable[..., Any]:
    """Return the function named `"module:function"`, the module given relative to this package.

    Examples
    --------
    >>> load("errors:suggest")("Dayz", ["Days"])
    " Did you mean 'Days'?"
    """
    module, _, name = target.partition(":")
    function: Callable[..., Any] = getattr(import_module(f"{__package__}.{module}"), name)
    return function


@cache
def guarded(target: str) -> Callable[..., Any]:
    """Return the function named, from which no error of arithmetic leaves but as a `FitError`."""
    function = load(target)

    @wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        with carried_through(function.__name__):
            return function(*arguments, **options)

    return call


@cache
def _for_linear(target: str, name: str) -> Callable[..., Any]:
    """Return the function named, which asks the object first whether it is one of a linear model."""
    function = guarded(target)

    @wraps(function)
    def call(owner: Any, *arguments: Any, **options: Any) -> Any:
        owner._refuse_generalised(name)
        return function(owner, *arguments, **options)

    return call


class Tool(Generic[Result]):
    """A function of an object that reads as its method: `predict = Tool[Table]("postfit.predict:predict")`.

    The function takes the object first. It is imported when the attribute is first read, so that its
    signature and documentation show in `help` and in editors while importing the class stays cheap.
    With `of` the function takes that attribute of the object in its place. A tool that is `linear` knows linear models
    alone: the object's `_refuse_generalised`, called with the name of the tool, may raise.
    """

    __slots__ = ("linear", "name", "of", "target")

    def __init__(self, target: str, of: str | None = None, linear: bool = False) -> None:
        self.target = target
        self.of = of
        self.linear = linear
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, owner: object | None, kind: type | None = None) -> Callable[..., Result]:
        function = guarded(self.target)
        if owner is None:
            return function
        if self.linear:
            function = _for_linear(self.target, self.name)
        return MethodType(function, owner if self.of is None else getattr(owner, self.of))
