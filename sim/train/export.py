"""Tensors of a trained network as memory images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lns.files import atomic_write, memh_text
from sim.train.chip import Chip

TENSORS = ("weight", "operand", "moment")


def export(chip: Chip, out: Path, tensors: list[str]) -> list[dict[str, Any]]:
    """Write ``weight1.mem`` … for ``$readmemh``, and ``tensors.json`` that says what is in them.

    Words are in row-major order, (outputs, inputs + 1), the bias last in each row.
    """
    out.mkdir(parents=True, exist_ok=True)
    formats, update = chip.design.formats, chip.design.update
    copies, copy_offsets = chip.operands()
    rows = []
    for layer, cap in enumerate(chip.caps):
        moment_offset = 2 * chip.previous_offsets[layer] + update.moment_offset
        every = {
            "weight": (chip.weights[layer], formats.weight, chip.units.weight_offset(cap, formats.weight)),
            "operand": (copies[layer], formats.operand, copy_offsets[layer]),
            "moment": (chip.moments[layer], update.moment, moment_offset),
        }
        for name in tensors:
            words, fmt, offset = every[name]
            file = f"{name}{layer + 1}.mem"
            what = f"{name} of layer {layer + 1}, {fmt}, offset {offset}, shape {words.shape}"
            title = f"{chip.design.name}: {what}, by lns export"
            with atomic_write(out / file) as stream:
                stream.write(memh_text(words, fmt.bits, title).encode())
            shape = list(words.shape)
            rows.append({"file": file, "format": str(fmt), "offset": offset, "shape": shape, "words": words.size})
    with atomic_write(out / "tensors.json") as stream:
        stream.write((json.dumps(rows, indent=2) + "\n").encode())
    return rows
