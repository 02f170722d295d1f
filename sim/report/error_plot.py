"""The error of dot products against their length, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lns.files import atomic_write

if TYPE_CHECKING:
    from sim.report.error import DotError


def plot(dots: Sequence[DotError], path: Path, title: str) -> None:
    """RMS error and bias over the sum of the products' magnitudes, one pair of lines for each kind of product.

    Parameters
    ----------
    dots : sequence of DotError
    path : Path
        A file that matplotlib can write, by its suffix (.png, .svg, .pdf).
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
    for axes, part in zip(panels, ("accumulator", "word"), strict=True):
        for where in dict.fromkeys(dot.where for dot in dots):
            rows = [dot for dot in dots if dot.where == where]
            lengths = [dot.length for dot in rows]
            errors = [getattr(dot, part) for dot in rows]
            (line,) = axes.plot(lengths, [error.rms for error in errors], "o-", label=f"{where}, RMS")
            bias = [abs(error.bias) for error in errors]
            axes.plot(lengths, bias, "s--", color=line.get_color(), label=f"{where}, |bias|")
        axes.set(title=part, xlabel="length K", xscale="log", yscale="log")
        axes.set_xticks(lengths, [str(k) for k in lengths], minor=False)
        axes.minorticks_off()
        axes.grid(True, alpha=0.3)
        axes.legend()
    panels[0].set_ylabel("error over the sum of |a·b|")
    figure.suptitle(title)
    with atomic_write(path) as file:
        figure.savefig(file, format=path.suffix.lstrip("."), dpi=120)
    plt.close(figure)
