"""One line a figure: what was measured, beside what, and whether that is what was asked for."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """What the ratio is to be: at least or at most a number."""

    at_least: float | None = None
    at_most: float | None = None

    def reached(self, ratio: float) -> bool:
        return (self.at_least is None or ratio >= self.at_least) and (self.at_most is None or ratio <= self.at_most)

    def __str__(self) -> str:
        if self.at_least is not None and self.at_most is not None:
            return f"{self.at_least:g} to {self.at_most:g}"
        return f"≥ {self.at_least:g}" if self.at_least is not None else f"≤ {self.at_most:g}"


def heading() -> None:
    print("| figure | measured | baseline | ratio | target | reached |\n|---|---|---|---|---|---|", flush=True)


def figure(
    name: str, measured: float, unit: str, baseline: tuple[str, float] | None = None, target: Target | None = None
) -> None:
    """One line of the table. Without a target it is only reported."""
    told = [name, quantity(measured, unit)]
    if baseline is None:
        told += ["", ""]
        ratio = measured
    else:
        ratio = measured / baseline[1]
        told += [f"{quantity(baseline[1], unit)} {baseline[0]}", f"{ratio:.3g}"]
    told += ["", ""] if target is None else [str(target), "yes" if target.reached(ratio) else "**no**"]
    print("| " + " | ".join(told) + " |", flush=True)


def quantity(value: float, unit: str) -> str:
    digits = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{digits} {unit}".rstrip()
