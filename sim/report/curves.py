"""Learning curves of runs as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lns.files import atomic_write


def plot(curves: Mapping[str, Sequence[Mapping[str, Any]]], path: Path, title: str) -> None:
    """Loss and test error against epochs, one line a run.

    Parameters
    ----------
    curves : mapping of a name to an epoch's metrics each, as a run's ``metrics.jsonl`` has them
    path : Path
        A file that matplotlib can write, by its suffix (.png, .svg, .pdf).
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for name, rows in curves.items():
        epochs = [row["epoch"] for row in rows]
        (line,) = left.plot(epochs, [row["train_loss"] for row in rows], label=f"{name}, training")
        left.plot(epochs, [row["test_loss"] for row in rows], "--", color=line.get_color(), label=f"{name}, test")
        last = 100 * rows[-1]["test_accuracy"]
        right.plot(epochs, [100 * (1 - row["test_accuracy"]) for row in rows], label=f"{name} ({last:.2f} % right)")
    left.set(xlabel="epoch", ylabel="cross-entropy (nats)", yscale="log")
    right.set(xlabel="epoch", ylabel="test error (%)", yscale="log")
    for axes in (left, right):
        axes.legend()
        axes.grid(True, which="both", alpha=0.3)
    figure.suptitle(title)
    with atomic_write(path) as file:
        figure.savefig(file, format=path.suffix.lstrip("."), dpi=120)
    plt.close(figure)
