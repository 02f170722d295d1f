"""A design in the words that a hardware engineer expects, and as a dict with the same content."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from lns.design import Design, LinearAccumulator
from lns.format import LNSFormat
from lns.gausslog import Table, TableKind, rom_width, table
from lns.reference import LinearDot
from lns.units import Units
from sim.report.table_error import TableError, table_error

Described = dict[str, Any]


def describe_format(fmt: LNSFormat, offset: int = 0) -> Described:
    """Range, step and dynamic range of a format; range and step are those of magnitudes."""
    scale = 1 << fmt.frac_bits
    return {
        "format": str(fmt),
        "bits": fmt.bits,
        "code_bits": fmt.code_bits,
        "frac_bits": fmt.frac_bits,
        "smallest": _power(fmt.min_raw / scale + offset),
        "largest": _power(fmt.max_raw / scale + offset),
        "octaves": (fmt.max_code - 1) / scale,
        "steps_an_octave": scale,
        "step_percent": 100 * (2.0 ** (1 / scale) - 1),
        "dynamic_range_db": fmt.dynamic_range_db,
    }


def _power(exponent: float) -> float:
    """2**exponent, as infinity or zero where a float64 cannot hold it."""
    return float(np.exp2(exponent))


def describe_table(source: Table, parts: tuple[str, ...] = ("sb", "db")) -> Described:
    """Size of a table; an unsigned adder has the part ``sb`` alone."""
    roms = {name: rom for name, rom in source.roms.items() if name.startswith(parts)}
    return {
        "kind": str(source.kind),
        "frac_bits": source.frac_bits,
        "entries": sum(rom.size for rom in roms.values()),
        "rom_bits": sum(rom.size * rom_width(rom) for rom in roms.values()),
        "roms": {name: {"entries": rom.size, "width_bits": rom_width(rom)} for name, rom in roms.items()},
    }


def _describe_accumulator(design: Design) -> Described:
    units, acc, formats = Units(design), design.accumulator, design.formats
    pairs = {
        "forward": (formats.activation, formats.operand, formats.activation),
        "backward": (formats.error, formats.operand, formats.error),
        "gradient": (formats.error, formats.activation, formats.gradient),
    }
    if not isinstance(acc, LinearAccumulator):
        out: Described = {"kind": "log", "lanes": acc.lanes, "offset_octaves": acc.offset}
        return out | {
            "accumulator": describe_format(acc.format, acc.offset),
            "table": describe_table(table(acc.table, acc.format.frac_bits)),
        }
    out = {"kind": "linear", "lanes": acc.lanes, "bits": acc.bits, "guard_octaves": acc.guard, "products": {}}
    for name, (a, b, to) in pairs.items():
        unit = units.dot(a, b)
        assert isinstance(unit, LinearDot)
        largest = unit.magnitude(unit.product_code(a.max_raw, b.max_raw))
        out["products"][name] = {
            "operands": f"{a} × {b}",
            "antilog_rom": {"entries": len(unit.rom), "width_bits": acc.antilog_bits},
            "largest_term_bits": largest.bit_length(),
            "least_bit_weight": f"2^{unit.least_exponent}",
            "cannot_overflow_up_to_K": unit.safe_length,
            "linear_to_log_rom": {"entries": 1 << units.index_bits(to), "width_bits": rom_width(units.to_log_rom(to))},
        }
    return out


def _describe_update(design: Design) -> Described:
    units, update, weight = Units(design), design.update, design.formats.weight
    constants = units.update_constants(1, 0, 0)
    per_octave = 1 << weight.frac_bits
    step = update.lr * per_octave / math.log(2)
    out = {
        "lr": update.lr,
        "lr_constant_codes": constants.lr,
        "step_at_rms_gradient_codes": step,
        "largest_step_codes": step * update.clip,
        "clip": update.clip,
        "clip_constant_codes": constants.clip,
        "rounding": update.rounding.value,
        "step_frac_bits": update.step_frac_bits,
        "sign_rule": update.sign_rule.value,
        "kappa_codes": update.kappa,
        "beta": update.beta,
        "moment": describe_format(update.moment),
        "moment_offset_octaves": update.moment_offset,
        "moment_table": describe_table(units.update.table, ("sb",)),
        "antilog_rom": {"entries": len(units.update.rom), "width_bits": update.antilog_bits},
        "lfsr_lanes": update.lanes,
        "weight_steps_an_octave": per_octave,
    }
    if weight == design.formats.operand and weight.code_bits in (8, 10, 12):
        # B-bit Madam as published: base_lr 0.001 at 12 bits, 4 times as much for each 2 bits less (Bernstein et al.
        # 2020)
        out["published_steps_an_octave"] = round(math.log(2) / (0.001 * 2 ** (12 - weight.code_bits)))
    return out


def describe(design: Design) -> Described:
    """Everything about a design that follows from it; units are in the keys."""
    loss, core = design.loss, design.core
    return {
        "name": design.name,
        "description": design.description,
        "formats": {
            spec.name: describe_format(getattr(design.formats, spec.name))
            for spec in dataclasses.fields(design.formats)
        },
        "accumulator": _describe_accumulator(design),
        "adder": describe_table(table(design.adder.table, design.formats.activation.frac_bits)),
        "update": _describe_update(design),
        "loss": {
            "format": describe_format(loss.format),
            "table": describe_table(table(loss.table, loss.format.frac_bits)),
            "antilog_rom": {"entries": 1 << design.formats.activation.frac_bits, "width_bits": loss.antilog_bits},
        },
        "conversion_rounding": design.conversion.rounding.value,
        "headroom_octaves": design.offsets.headroom,
        "core": design.to_dict()["core"] | {"macs_a_clock": core.rows * core.columns * design.accumulator.lanes},
    }


# --- as text ---------------------------------------------------------------------------------------------------------


def _table_line(t: Described) -> str:
    if not t["roms"]:
        return f"{t['kind']} at {t['frac_bits']} fraction bits: no ROM"
    parts = ", ".join(f"{name} {rom['entries']} × {rom['width_bits']} bits" for name, rom in t["roms"].items())
    return f"{t['kind']} at {t['frac_bits']} fraction bits: {t['entries']} entries, {t['rom_bits']} bits ({parts})"


def _rom(rom: Described) -> str:
    return f"{rom['entries']} × {rom['width_bits']} bits"


def _format_line(f: Described) -> str:
    return (
        f"{f['format']:<12} {f['smallest']:>9.3g} … {f['largest']:<9.3g} {f['octaves']:>7.2f} octaves "
        f"{f['dynamic_range_db']:>7.1f} dB   step {f['step_percent']:.3g} % ({f['steps_an_octave']} an octave)"
    )


def _core_lines(core: Described) -> list[str]:
    ports = f"{core['operand_ports']} words a clock and side" if core["operand_ports"] else "as wide as the array"
    main = f"{core['memory_kib']} KiB of SRAM" if core["memory"] == "sram" else "DRAM"
    return [
        "",
        f"Training core (time and energy alone): {core['rows']} × {core['columns']} processing elements, "
        f"{core['macs_a_clock']} multiply-accumulates a clock",
        f"  memory    operand buffer {core['buffer_kib']} KiB, {ports}; main memory {main}",
    ]


def text(d: Described) -> str:
    """`describe` as lines for a terminal."""
    lines = [d["name"], f"  {d['description']}", "", "Words (magnitudes at offset 0)"]
    lines += [f"  {name:<11} {_format_line(f)}" for name, f in d["formats"].items()]
    acc = d["accumulator"]
    lines += ["", f"Dot product: {acc['kind']} accumulator, {acc['lanes']} lanes"]
    if acc["kind"] == "linear":
        lines.append(
            f"  {acc['bits']} bits, two's complement, saturating; "
            f"least bit {acc['guard_octaves']} octaves below the largest product's leading bit"
        )
        for name, p in acc["products"].items():
            lines.append(
                f"  {name:<9} {p['operands']:<25} antilog ROM {_rom(p['antilog_rom'])}, "
                f"terms of {p['largest_term_bits']} bits, least bit {p['least_bit_weight']}; "
                f"cannot overflow up to K = {p['cannot_overflow_up_to_K']}; "
                f"linear-to-log ROM {_rom(p['linear_to_log_rom'])}"
            )
    else:
        lines += [
            f"  words     {_format_line(acc['accumulator'])}, at offset {acc['offset_octaves']}",
            f"  table     {_table_line(acc['table'])}",
        ]
    lines += ["", "Log-adder on activations", f"  table     {_table_line(d['adder'])}"]
    u = d["update"]
    steps = f"{u['weight_steps_an_octave']} steps an octave"
    if "published_steps_an_octave" in u:
        steps += f" (B-bit Madam as published: {u['published_steps_an_octave']})"
    lines += [
        "",
        f"Update (Madam), {u['rounding']} rounding with {u['step_frac_bits']} bits below the point, "
        f"sign rule {u['sign_rule']}",
        f"  weight    {steps}; lr {u['lr']:g} moves {u['step_at_rms_gradient_codes']:.3g} codes at the RMS gradient, "
        f"at most {u['largest_step_codes']:.4g} (clip {u['clip']:g})",
        f"  moment    {_format_line(u['moment'])}",
        f"            kappa {u['kappa_codes']}: beta {u['beta']:.6f}; "
        f"offset 2·gradient's {u['moment_offset_octaves']:+d}",
        f"  table     {_table_line(u['moment_table'])}",
        f"  antilog   ROM {_rom(u['antilog_rom'])}; "
        f"constants lr {u['lr_constant_codes']}, clip {u['clip_constant_codes']} codes",
        f"  random    {u['lfsr_lanes']} lanes of 32-bit LFSR"
        + ("" if u["rounding"] == "stochastic" else " (not used: rounding to nearest)"),
        "",
        "Loss",
        f"  words     {_format_line(d['loss']['format'])}",
        f"  table     {_table_line(d['loss']['table'])}",
        f"  antilog   ROM {_rom(d['loss']['antilog_rom'])}",
        "",
        f"Conversions round {d['conversion_rounding']}; "
        f"offsets follow the data with {d['headroom_octaves']} octaves of headroom",
        *_core_lines(d["core"]),
    ]
    return "\n".join(lines)


# --- table errors ----------------------------------------------------------------------------------------------------


def describe_errors(kind: TableKind, frac_bits: int) -> Described:
    """Size and error of a table kind; errors in codes, over the whole domain."""
    source = table(kind, frac_bits)
    errors: dict[str, TableError] = table_error(source)
    return describe_table(source) | {"error_codes": {name: dataclasses.asdict(e) for name, e in errors.items()}}


def errors_text(d: Described) -> str:
    lines = [_table_line(d)]
    for name, e in d["error_codes"].items():
        lines.append(
            f"  {name}: worst error {e['worst']:+.4f} codes (at d = {e['worst_at']}), "
            f"mean {e['mean']:+.4f}, RMS {e['rms']:.4f}"
        )
    return "\n".join(lines)
