"""What may be asked of a priced unit beside its price: an FPGA's figures, other pipeline depths, a proof."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from sim.cost.equivalence import Proof, prove_or_say_why
from sim.cost.errors import CostError, TooLong
from sim.cost.fpga import FpgaCost, fpga_cost, require_fpga_tools
from sim.cost.pipelining import Stage, has_pipeline, least_periods
from sim.cost.settings import Settings
from sim.verify.unit import Unit

__all__ = ["TOOL_SECONDS", "Extra", "NoStage", "Wanted", "extras_of"]

TOOL_SECONDS = 600.0  #: that one tool may take for one figure of one unit
_NO_PIPELINE = "it is a state machine"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for: figures of an FPGA, these pipeline depths, proofs of small netlists."""

    fpga: bool = False
    depths: tuple[int, ...] = ()
    prove: bool = False

    def __bool__(self) -> bool:
        return self.fpga or bool(self.depths) or self.prove

    def require_tools(self) -> None:
        """`MissingTool` before anything is priced, not after."""
        if self.fpga:
            require_fpga_tools()


@dataclass(frozen=True, slots=True)
class NoStage:
    """Why there are no figures for ``depth`` register stages."""

    depth: int
    refused: str


@dataclass(frozen=True, slots=True)
class Extra:
    """What was asked of one unit.

    Attributes
    ----------
    fpga : FpgaCost, str or None
        A text says why there are no figures; None: not asked for.
    depths : tuple of Stage and NoStage, or str
        Empty where none was asked for; a text says why the unit has none.
    proof : Proof or None
    """

    fpga: FpgaCost | str | None = None
    depths: tuple[Stage | NoStage, ...] | str = ()
    proof: Proof | None = None

    def to_dict(self) -> dict[str, Any]:
        """What there is, in SI units and µm²."""
        data: dict[str, Any] = {}
        if self.fpga is not None:
            data["fpga"] = {"refused": self.fpga} if isinstance(self.fpga, str) else asdict(self.fpga)
        if isinstance(self.depths, str):
            data["depths"] = {"refused": self.depths}
        elif self.depths:
            data["depths"] = [asdict(stage) for stage in self.depths]
        if self.proof is not None:
            data["proof"] = asdict(self.proof)
        return data


def extras_of(
    units: tuple[Unit, ...], wanted: Wanted, settings: Settings, report: Callable[[str], None] = lambda text: None
) -> tuple[Extra, ...]:
    """What is wanted of priced units, as many at a time as the settings have jobs.

    Parameters
    ----------
    report : callable
        Told what was found, a line for each figure of a unit.

    Raises
    ------
    CostError
        If a netlist is not the Verilog, or does not compute what the definition says at some depth. A unit that an FPGA
        does not take, or for which a tool needs more than `TOOL_SECONDS`, is no error: its `Extra` says so.
    MissingTool
        If a tool is missing.
    """
    library, period = settings.conditions.library, settings.conditions.period
    steps = len(units) * (wanted.fpga + wanted.prove)
    steps += len(wanted.depths) * sum(map(has_pipeline, units))
    numbers = itertools.count(1)

    def told(unit: Unit, begun: float, text: str) -> None:
        report(f"{next(numbers)} of {steps}: {unit.module}: {text} ({time.monotonic() - begun:.0f} s)")

    def fpga_of(unit: Unit) -> FpgaCost | str:
        begun = time.monotonic()
        try:
            made: FpgaCost | str = fpga_cost(unit, seconds=TOOL_SECONDS)
        except CostError as error:
            made = str(error)
        told(unit, begun, f"FPGA: {made if isinstance(made, str) else f'{made.luts} LUT4s'}")
        return made

    def stage_of(unit: Unit, depth: int) -> Stage | NoStage:
        begun = time.monotonic()
        try:
            (made,) = least_periods(unit, library, [depth], TOOL_SECONDS)
        except TooLong as error:
            told(unit, begun, f"{depth} register stages: {error}")
            return NoStage(depth, str(error))
        told(unit, begun, f"{depth} register stages: {made.period * 1e9:.3g} ns")
        return made

    def proof_of(unit: Unit) -> Proof:
        begun = time.monotonic()
        made = prove_or_say_why(unit, library, period, TOOL_SECONDS)
        told(unit, begun, f"{made.points} bits proven" if made.points else f"no proof: {made.why}")
        return made

    def one(unit: Unit) -> Extra:
        depths: tuple[Stage | NoStage, ...] | str = ()
        if wanted.depths:
            machine = not has_pipeline(unit)
            depths = _NO_PIPELINE if machine else tuple(stage_of(unit, depth) for depth in wanted.depths)
        return Extra(fpga_of(unit) if wanted.fpga else None, depths, proof_of(unit) if wanted.prove else None)

    with ThreadPoolExecutor(settings.jobs) as pool:
        return tuple(pool.map(one, units))
