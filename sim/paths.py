"""Where the Verilog and the cocotb benches lie."""

from __future__ import annotations

from pathlib import Path

_CHECKOUT = {"rtl": "rtl", "cocotb": "tests/cocotb"}


def data_dir(name: str) -> Path:
    """The folder of the Verilog (``rtl``) or of the benches (``cocotb``): package data when installed, else the
    checkout's.

    Raises
    ------
    FileNotFoundError
        If neither is there: the installation is damaged.
    """
    here = Path(__file__).resolve().parent
    choices = (here / "_data" / name, here.parent / _CHECKOUT[name])
    for folder in choices:
        if any(folder.glob("*.v")):
            return folder
    raise FileNotFoundError(f"no Verilog in {' or '.join(map(str, choices))}: install the package again")
