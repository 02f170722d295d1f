"""Every width and constant of a design that the writer of its controller needs, as Verilog macros."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from lns.design import Design, LinearAccumulator
from lns.format import LNSFormat
from lns.gausslog import Ints, rom_width
from lns.units import Units

__all__ = ["corrections", "dot_pairs", "format_roles", "parameters_text"]

Line = tuple[str, int | str, str]  # name, value, meaning


def format_roles(design: Design) -> dict[str, LNSFormat]:
    """The formats of a design by their roles."""
    formats = design.formats
    roles = {name: getattr(formats, name) for name in ("activation", "error", "gradient", "operand", "weight")}
    roles |= {"moment": design.update.moment, "loss": design.loss.format}
    if not isinstance(design.accumulator, LinearAccumulator):
        roles["accumulator"] = design.accumulator.format
    return roles


def dot_pairs(design: Design) -> dict[str, tuple[LNSFormat, LNSFormat]]:
    """The operands of a training step's dot products (docs/spec.md, section 12)."""
    formats = design.formats
    return {
        "forward": (formats.activation, formats.operand),
        "backward": (formats.error, formats.operand),
        "gradient": (formats.error, formats.activation),
    }


def corrections(design: Design) -> Ints:
    """DB(kappa·t) by the number t of an update, to the last that is not zero; entry 0 is never used."""
    units, values = Units(design), [0]
    while value := units.correction(design.update.kappa * len(values)):
        values.append(value)
    return np.array(values, np.int64)


def _format_lines(role: str, fmt: LNSFormat) -> list[Line]:
    name = role.upper()
    return [
        (f"{name}_BITS", fmt.bits, f"{fmt}: width of a word"),
        (f"{name}_FRAC_BITS", fmt.frac_bits, "F, fraction bits of log2"),
        (f"{name}_SIGNED", int(fmt.signed), "1: the top bit is a sign"),
        (f"{name}_CODE_BITS", fmt.code_bits, "width of a code"),
        (f"{name}_BIAS", fmt.bias, "code of 1.0 at offset 0"),
        (f"{name}_MAX", fmt.max_code, "largest code"),
    ]


def _accumulator_lines(design: Design) -> list[Line]:
    units, acc = Units(design), design.accumulator
    lines: list[Line] = [("DOT_LANES", acc.lanes, "lanes of a dot product")]
    if not isinstance(acc, LinearAccumulator):
        return [*lines, ("ACCUMULATOR_OFFSET", acc.offset, "octaves of its 1.0 above the product's")]
    lines += [
        ("ACCUMULATOR_BITS", acc.bits, "A"),
        ("ACCUMULATOR_GUARD", acc.guard, "octaves between the largest product's leading bit and the least bit"),
        ("ACCUMULATOR_ANTILOG_BITS", acc.antilog_bits, "T"),
    ]
    for role, (a, b) in dot_pairs(design).items():
        dot: Any = units.dot(a, b)
        name = role.upper()
        lines += [
            (f"{name}_LEAST_EXPONENT", dot.least_exponent, "log2 of the accumulator's least bit, offsets aside"),
            (f"{name}_K_SAFE", dot.safe_length, "so many terms never saturate"),
        ]
    return lines


def _update_lines(design: Design, correction_file: str) -> list[Line]:
    update, units, rom = design.update, Units(design), corrections(design)
    constants = units.update_constants(1, 0, 0)
    octave = 1 << update.moment.frac_bits
    return [
        ("UPDATE_LANES", update.lanes, "weights at once, each with its random bits"),
        ("UPDATE_RANDOM_BITS", update.step_frac_bits, "r"),
        ("UPDATE_READ", constants.read, "c_read while the gradient's offset stays"),
        ("UPDATE_READ_FALL", 2 * octave, "what c_read is larger by for each octave the gradient's offset fell"),
        ("UPDATE_TERM", constants.term, "c_term"),
        ("UPDATE_CLIP", constants.clip, f"c_clip, of {update.clip}"),
        ("UPDATE_LR", constants.lr, f"c_lr, of {update.lr}"),
        ("UPDATE_LR_OCTAVE", octave, "what c_lr is smaller by for each halving of the learning rate"),
        ("UPDATE_CORRECTION", update.moment_offset * octave, "c_corr once the bias is gone"),
        ("UPDATE_CORRECTION_ENTRIES", rom.size, "c_corr of update t is UPDATE_CORRECTION + entry t; 0 beyond"),
        ("UPDATE_CORRECTION_BITS", rom_width(rom), "width of an entry"),
        ("UPDATE_CORRECTION_FILE", correction_file, "$readmemh image"),
        ("UPDATE_MOMENT_OFFSET", update.moment_offset, "C: a moment's offset is twice the gradient's plus this"),
    ]  # fmt: skip


def _offset_lines(design: Design) -> list[Line]:
    formats, units, headroom = design.formats, Units(design), design.offsets.headroom
    activation, error = formats.activation.one_offset_limit, formats.error.one_offset_limit
    return [
        ("HEADROOM", headroom, "H, octaves above the largest word seen"),
        ("ACTIVATION_OFFSET_LIMIT", activation, "offsets of activations stay within plus or minus this"),
        ("INPUT_OFFSET", -activation, "of the input tensor, always"),
        ("ACTIVATION_OFFSET_FIRST", -activation + headroom, "of other activations, at the start"),
        ("ERROR_OFFSET_FIRST", -error + headroom, "of errors, at the start"),
        ("GRADIENT_OFFSET_FIRST", 0, "of gradients, at the start"),
        ("WEIGHT_OFFSET", units.weight_offset(0, formats.weight), "of stored weights under a cap of 1; 2^R adds R"),
        ("OPERAND_OFFSET", units.weight_offset(0, formats.operand), "of their compute copy, likewise"),
    ]  # fmt: skip


def parameters_text(
    design: Design, prefix: str, instances: Mapping[str, Mapping[str, int | str]], correction_file: str
) -> str:
    """The parameter file: macros in place of a package, so that every tool reads it and none reports what goes unused.

    Parameters
    ----------
    design : Design
    prefix : str
        Of every macro.
    instances : mapping
        Name of an instance -> its Verilog parameters; two underscores in a macro's name stand between them.
    correction_file : str
        The ROM image of `corrections`.
    """
    sections: list[tuple[str, Iterable[Line]]] = [
        (f"format: {role} (spec, section 1)", _format_lines(role, fmt)) for role, fmt in format_roles(design).items()
    ]
    sections += [
        ("dot products (spec, sections 5 to 7)", _accumulator_lines(design)),
        ("update (spec, section 8): constants in codes at F of the moment", _update_lines(design, correction_file)),
        ("loss (spec, section 9)", [("LOSS_SCALE", Units(design).loss.scale, "c_e, log2(log2 e) in codes of a logit")]),
        ("offsets in octaves (spec, section 11)", _offset_lines(design)),
    ]
    for name, values in instances.items():
        sections.append((f"instance: {name}", [(f"{name}__{key}".upper(), value, "") for key, value in values.items()]))
    guard = f"{prefix}_PARAMETERS_VH"
    text = [f"// Parameters of the design {prefix.lower()}.", f"`ifndef {guard}", f"`define {guard}"]
    for title, lines in sections:
        text += ["", f"// --- {title}"]
        for key, value, meaning in lines:
            macro = key if key.startswith(f"{prefix}_") else f"{prefix}_{key}"
            literal = f'"{value}"' if isinstance(value, str) else f"({value})" if value < 0 else str(value)
            text.append(f"`define {macro} {literal}" + (f"  // {meaning}" if meaning else ""))
    return "\n".join([*text, "", "`endif", ""])
