"""Run directories: what was asked for, what came out, and a checkpoint from which a killed run goes on to the same
bits."""

from __future__ import annotations

import json
import tomllib
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lns.design import Design, exact_decimal, to_toml
from lns.files import atomic_write


class RunError(ValueError):
    """A run directory that cannot be written, read or resumed."""


@dataclass(frozen=True, slots=True)
class RunConfig:
    """What a run was asked to do; with the design it determines every bit of the result.

    ``learner`` is ``chip`` or a float baseline's name; ``lr`` 0 means the design's or the baseline's own. The
    learning rate is divided by
    ``lr_divisors[i]`` from the fraction ``lr_milestones[i]`` of all epochs on. ``validation`` is the part of the
    training set that replaces the test set
    (0: the test set is used). ``checkpoint_every`` counts steps; 0 means every epoch.
    """

    learner: str
    data: str
    hidden: tuple[int, ...] = (128,)
    epochs: int = 5
    batch: int = 128
    seed: int = 0
    lr: float = 0.0
    lr_milestones: tuple[float, ...] = (0.5, 0.8)
    lr_divisors: tuple[float, ...] = (4.0, 16.0)
    validation: float = 0.0
    checkpoint_every: int = 0

    def __post_init__(self) -> None:
        def require(condition: bool, name: str, required: str) -> None:
            if not condition:
                raise RunError(f"{name} must be {required}, got {getattr(self, name)}")

        require(all(0 < n <= 1 << 16 for n in self.hidden), "hidden", "layer sizes from 1 to 65536")
        require(0 < self.epochs <= 100_000, "epochs", "from 1 to 100000")
        require(0 < self.batch <= 1 << 16, "batch", "from 1 to 65536")
        require(0 <= self.seed < 1 << 32, "seed", "from 0 to 2**32 - 1")
        require(0 <= self.lr <= 1e6, "lr", "from 0 to 1e6")
        require(0 <= self.validation < 1, "validation", "from 0 to below 1")
        require(self.checkpoint_every >= 0, "checkpoint_every", "at least 0")
        require(len(self.lr_milestones) == len(self.lr_divisors), "lr_divisors", "as many as lr_milestones")
        require(all(d > 0 for d in self.lr_divisors), "lr_divisors", "above 0")

    def rate(self, base: float, epoch: int) -> Fraction:
        """The learning rate of an epoch (from 0), exact in decimal."""
        rate = exact_decimal(self.lr or base)
        divisor = Fraction(1)
        for milestone, by in zip(self.lr_milestones, self.lr_divisors, strict=True):
            if epoch >= milestone * self.epochs:
                divisor = exact_decimal(by)
        return rate / divisor


class RunDirectory:
    """One folder a run: ``config.toml``, ``design.toml``, ``metrics.jsonl``, ``checkpoint.npz``, ``result.json``,
    ``curve.png``."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)

    @classmethod
    def create(cls, path: Path, config: RunConfig, design: Design | None) -> RunDirectory:
        """A new folder, or an empty one; an existing run is never overwritten."""
        run = cls(path)
        try:
            run.path.mkdir(parents=True, exist_ok=True)
            if any(run.path.iterdir()):
                raise RunError(f"{path}: not empty; --resume {path} goes on with a run, another --out starts a new one")
            if design is not None:
                run.write("design.toml", design.to_toml())
            run.write("config.toml", to_toml(asdict(config)))
        except OSError as error:
            raise RunError(f"{path}: {error.strerror}") from None
        return run

    def write(self, name: str, text: str) -> None:
        with atomic_write(self.path / name) as file:
            file.write(text.encode())

    def config(self) -> RunConfig:
        try:
            data = tomllib.loads((self.path / "config.toml").read_text("utf-8"))
        except FileNotFoundError:
            raise RunError(f"{self.path}: no run here (config.toml is missing)") from None
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise RunError(f"{self.path}/config.toml: {error}") from None
        known = {f.name for f in fields(RunConfig)}
        if set(data) != known:
            raise RunError(f"{self.path}/config.toml: keys must be {sorted(known)}, got {sorted(data)}")
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
        return RunConfig(**values)

    def design(self) -> Design | None:
        """The design of a chip's run, None of a float baseline's."""
        path = self.path / "design.toml"
        return Design.from_toml(path.read_text("utf-8")) if path.is_file() else None

    # --- metrics ---------------------------------------------------------------------------------------------------

    def metrics(self) -> list[dict[str, Any]]:
        """A dict an epoch; a last line that a kill cut short is left out."""
        path = self.path / "metrics.jsonl"
        out = []
        for line in path.read_text("utf-8").splitlines() if path.is_file() else []:
            try:
                out.append(json.loads(line))
            except json.JSONDecodeError:
                break
        return out

    def append_metrics(self, row: Mapping[str, Any]) -> None:
        with open(self.path / "metrics.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def drop_metrics_after(self, epochs: int) -> None:
        """Leave the rows of the first epochs only: a resumed run writes the others again."""
        rows = [row for row in self.metrics() if row["epoch"] <= epochs]
        self.write("metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows))

    # --- checkpoint ------------------------------------------------------------------------------------------------

    def save(self, progress: Mapping[str, Any], state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Replace the checkpoint, all or nothing.

        Raises
        ------
        RunError
            If it cannot be written; the previous one is then still there.
        """
        arrays = {f"state.{name}": array for name, array in state.items()}
        arrays["progress"] = np.frombuffer(json.dumps(dict(progress)).encode(), np.uint8)
        try:
            with atomic_write(self.path / "checkpoint.npz") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]
        except OSError as error:
            raise RunError(
                f"{self.path}/checkpoint.npz: {error.strerror}; the previous checkpoint is untouched"
            ) from None

    def load(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]] | None:
        """(progress, state) of the checkpoint, None before the first one.

        Raises
        ------
        RunError
            If the file is damaged: the zip's checksums guard every array.
        """
        path = self.path / "checkpoint.npz"
        if not path.exists():
            return None
        try:
            with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            progress = json.loads(arrays.pop("progress").tobytes())
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
            raise RunError(f"{path}: damaged checkpoint ({error})") from None
        return progress, {name.removeprefix("state."): array for name, array in arrays.items()}
