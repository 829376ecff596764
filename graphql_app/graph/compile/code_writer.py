"""The text of a function, written line by line, and what its names stand for."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from types import CodeType
from typing import Any


class FunctionText:
    """Writes a function. It holds only names made here: whatever a client named is bound to one of them, and so never
    part of the text."""

    def __init__(self, argument: str, bound: Mapping[str, Any]) -> None:
        """`bound`: what the lines may name besides."""
        self._lines = [f"def made({argument}):"]
        self._indent = 1
        self._names = 0
        self._bound = dict(bound)

    def name(self) -> str:
        """Returns a new variable."""
        self._names += 1
        return f"v{self._names}"

    def bind(self, value: Any) -> str:
        """Returns a name that is bound to the value."""
        name = f"c{len(self._bound)}"
        self._bound[name] = value
        return name

    def line(self, text: str) -> None:
        self._lines.append(" " * self._indent + text)

    def assigned(self, expression: str) -> str:
        """Returns a variable that holds the expression."""
        name = self.name()
        self.line(f"{name} = {expression}")
        return name

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """Indents what is written within, as the block of this `if` or `for`."""
        self.line(f"{head}:")
        self._indent += 1
        yield
        self._indent -= 1

    def function(self, result: str) -> Callable[[Any], Any]:
        """Returns the function, which returns the expression."""
        self.line(f"return {result}")
        scope = dict(self._bound)
        exec(_code("\n".join(self._lines)), scope)  # noqa: S102  # see the class: no text of a client's is in it
        made: Callable[[Any], Any] = scope["made"]
        return made


@lru_cache(maxsize=256)
def _code(source: str) -> CodeType:
    """Returns the compiled text. Selections of one shape are one text, whatever their response keys are."""
    return compile(source, "<compiled>", "exec")
