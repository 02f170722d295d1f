"""What may be asked of a priced unit beside its price: an FPGA's figures, other pipeline depths, a proof."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from sim.cost.equivalence import Proof, prove_or_say_why
from sim.cost.errors import CostError
from sim.cost.fpga import FpgaCost, fpga_cost, require_fpga_tools
from sim.cost.pipelining import Stage, has_pipeline, least_periods
from sim.cost.settings import Settings
from sim.verify.unit import Unit

__all__ = ["Extra", "Wanted", "extras_of"]


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
class Extra:
    """What was asked of one unit.

    Attributes
    ----------
    fpga : FpgaCost, str or None
        A text says why there are no figures; None: not asked for.
    depths : tuple of Stage
        Empty where the unit has no pipeline, or none was asked for.
    proof : Proof or None
    """

    fpga: FpgaCost | str | None = None
    depths: tuple[Stage, ...] = ()
    proof: Proof | None = None

    def to_dict(self) -> dict[str, Any]:
        """What there is, in SI units and µm²."""
        data: dict[str, Any] = {}
        if self.fpga is not None:
            data["fpga"] = {"refused": self.fpga} if isinstance(self.fpga, str) else asdict(self.fpga)
        if self.depths:
            data["depths"] = [asdict(stage) for stage in self.depths]
        if self.proof is not None:
            data["proof"] = asdict(self.proof)
        return data


def extras_of(
    units: tuple[Unit, ...], wanted: Wanted, settings: Settings, report: Callable[[str], None] = lambda text: None
) -> tuple[Extra, ...]:
    """What is wanted of priced units, as many at a time as the settings have jobs.

    Raises
    ------
    CostError
        If a netlist is not the Verilog, or does not compute what the definition says at some depth. A unit that an FPGA
        does not take is no error: its `Extra` says so.
    MissingTool
        If a tool is missing.
    """
    library, period = settings.conditions.library, settings.conditions.period

    def one(unit: Unit) -> Extra:
        fpga: FpgaCost | str | None = None
        if wanted.fpga:
            try:
                fpga = fpga_cost(unit)
            except CostError as error:
                fpga = str(error)
        depths = tuple(least_periods(unit, library, wanted.depths)) if has_pipeline(unit) else ()
        proof = prove_or_say_why(unit, library, period) if wanted.prove else None
        report(f"{unit.module}: {', '.join(name for name in ('fpga', 'depths', 'prove') if getattr(wanted, name))}")
        return Extra(fpga, depths, proof)

    with ThreadPoolExecutor(settings.jobs) as pool:
        return tuple(pool.map(one, units))
