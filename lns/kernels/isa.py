"""Which code the matrix products run: vectors for this machine, or plain loops.

The environment variable ``LNS_KERNELS`` chooses: ``portable`` for plain loops, on any machine and at any time;
``avx512`` or ``avx2`` for vectors. Without it the best there is runs. All give the same bits. Numba compiles a whole
process for one instruction set, so ``avx2`` on a machine that has AVX-512 must be set before `lns` is imported.
"""

from __future__ import annotations

import os

import llvmlite.binding as llvm
from numba.core import config

VARIABLE = "LNS_KERNELS"

_NEEDED = {
    "avx512": {"avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512vbmi", "avx512vbmi2", "avx512vnni"},
    "avx2": {"avx2", "fma"},
}


def _compile_for_avx2() -> None:
    """Numba's target for the rest of the process, before it compiles anything."""
    config.CPU_NAME = "haswell"
    config.CPU_FEATURES = ",".join(
        f"{'-' if name.startswith(('avx512', 'avxvnni', 'avx10', 'amx')) else '+'}{name}"
        for name, present in llvm.get_host_cpu_features().items()
        if present
    )


def _features() -> set[str]:
    if config.CPU_FEATURES is not None:
        return {name[1:] for name in config.CPU_FEATURES.split(",") if name.startswith("+")}
    return {name for name, present in llvm.get_host_cpu_features().items() if present}


if os.environ.get(VARIABLE) == "avx2" and _NEEDED["avx2"] <= _features():
    _compile_for_avx2()

#: The instruction set of the vector kernels in this process, or None where they cannot run.
VECTOR: str | None = next((name for name, needed in _NEEDED.items() if needed <= _features()), None)

#: Whether kernels look words up in memory by AVX-512's gather: on Zen 4 it takes 1.3 times as long as a load a lane.
GATHERS = VECTOR == "avx512" and not (config.CPU_NAME or llvm.get_host_cpu_name()).startswith("znver")


def available() -> tuple[str, ...]:
    """The names that ``LNS_KERNELS`` may have in this process, the best first."""
    return (VECTOR, "portable") if VECTOR else ("portable",)


def current() -> str:
    """The name in force.

    Raises
    ------
    ValueError
        If ``LNS_KERNELS`` names what this process cannot run.
    """
    name = os.environ.get(VARIABLE)
    if not name:
        return available()[0]
    if name not in available():
        late = " (which must be set before lns is imported)" if name == "avx2" else ""
        raise ValueError(f"{VARIABLE} must be one of {', '.join(available())} here, got {name!r}{late}")
    return name
