"""Where the Verilog, the cocotb benches and the specification lie."""

from __future__ import annotations

from pathlib import Path

_CHECKOUT = {"rtl": "rtl", "cocotb": "tests/cocotb", "docs": "docs"}
_HOLDS = {"rtl": "*.v", "cocotb": "*.py", "docs": "spec.md"}


def data_dir(name: str) -> Path:
    """The folder of the Verilog (``rtl``), of the benches (``cocotb``) or of the specification (``docs``): package data
    when installed, else the checkout's.

    Raises
    ------
    FileNotFoundError
        If neither is there: the installation is damaged.
    """
    here = Path(__file__).resolve().parent
    choices = (here / "_data" / name, here.parent / _CHECKOUT[name])
    for folder in choices:
        if any(folder.glob(_HOLDS[name])):
            return folder
    raise FileNotFoundError(f"no {_HOLDS[name]} in {' or '.join(map(str, choices))}: install the package again")
