"""ROMs as trees of multiplexers in which equal parts are one: what Yosys's passes arrive at, in a tenth of the time.
Those above a size are memory macros (`sim.cost.macro`).

A word of the address chooses between halves, from its highest bit down to its lowest. Parts of all bits of all words
that are equal are one multiplexer; addresses behind the last word take what saves one.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from sim.cost.macro import macro_modules

__all__ = ["with_roms"]

Ints = npt.NDArray[np.int64]

_MEMORY = re.compile(r"^  cell \$mem_v2 (\S+)\n((?:    .*\n)*?)  end\n", re.MULTILINE)
_FIELD = re.compile(r"^    (?:parameter|connect) \\(\w+) (.*)$", re.MULTILINE)


def with_roms(rtlil: str, rom_bits: int) -> tuple[str, dict[str, tuple[npt.NDArray[np.uint8], int]]]:
    """A text of Yosys's RTLIL with every memory that is only read, at one port without a clock, as a module and an
    instance of it: of multiplexers, or of a macro where it has more than so many bits.

    Returns
    -------
    The text, and macro -> its words, as in `multiplexers`, and address bits.
    """
    made: list[str] = []
    macros: dict[str, tuple[npt.NDArray[np.uint8], int]] = {}

    def instance(found: re.Match[str]) -> str:
        fields = dict(_FIELD.findall(found[2]))
        contents = fields["INIT"].partition("'")[2]
        kind = tuple(fields[name] for name in ("RD_PORTS", "RD_CLK_ENABLE", "WR_PORTS", "OFFSET"))
        if kind != ("1", "1'0", "0", "0") or set(contents) - {"0", "1"}:
            return found[0]
        bits = np.frombuffer(contents.encode(), np.uint8)[::-1] - ord("0")
        name = f"\\lns_rom_{len(made)}"
        words, address_bits = bits.reshape(-1, int(fields["WIDTH"])), int(fields["ABITS"])
        if words.size > rom_bits:
            macro = f"ROM{words.shape[0]}X{words.shape[1]}_{len(macros)}"
            macros[macro] = words, address_bits
            made.append(_macro(name, macro, words, address_bits))
        else:
            made.append(_module(name, words, address_bits))
        ports = f"    connect \\a {fields['RD_ADDR']}\n    connect \\d {fields['RD_DATA']}\n"
        return f"  cell {name} {found[1]}\n{ports}  end\n"

    text = _MEMORY.sub(instance, rtlil)
    return "".join([text, *made, macro_modules(macros)]), macros


def multiplexers(words: npt.NDArray[np.uint8], address_bits: int) -> tuple[Ints, Ints]:
    """The multiplexers of a ROM.

    Parameters
    ----------
    words : uint8 array, (words, bits)
        0 and 1, the lowest bit first.
    address_bits : int

    Returns
    -------
    muxes : int64 array, (multiplexers, 3)
        Of each the address bit, and the signals that it gives where that is 0 and 1. Signals 0 and 1 are the
        constants, signal 2 + i is multiplexer i. Each comes after those that it takes.
    outputs : int64 array, (bits,)
        The signal of each bit of the word.
    """
    free = -1  # nobody asks for it
    signals = np.full((1 << address_bits, words.shape[1]), free, np.int64)
    signals[: len(words)] = words
    muxes: list[Ints] = []
    count = 2
    for bit in range(address_bits):
        low, high = signals[0::2], signals[1::2]
        low, high = np.where(low == free, high, low), np.where(high == free, low, high)
        signals, choice = low.copy(), low != high
        pairs, which = np.unique(np.stack([low[choice], high[choice]], axis=1), axis=0, return_inverse=True)
        signals[choice] = count + which.reshape(-1)
        muxes.append(np.column_stack([np.full(len(pairs), bit), pairs]))
        count += len(pairs)
    return np.concatenate([np.zeros((0, 3), np.int64), *muxes]), signals[0]


def _module(name: str, words: npt.NDArray[np.uint8], address_bits: int) -> str:
    muxes, outputs = multiplexers(words, address_bits)

    def signal(number: int) -> str:
        return f"1'{number}" if number < 2 else f"\\m [{number - 2}]"

    lines = [
        f"module {name}", f"  wire width {address_bits} input 1 \\a", f"  wire width {words.shape[1]} output 2 \\d",
        f"  wire width {max(1, len(muxes))} \\m",
    ]  # fmt: skip
    for number, (bit, low, high) in enumerate(muxes.tolist()):
        lines += [
            f"  cell $_MUX_ \\c{number}", f"    connect \\A {signal(low)}", f"    connect \\B {signal(high)}",
            f"    connect \\S \\a [{bit}]", f"    connect \\Y \\m [{number}]", "  end",
        ]  # fmt: skip
    lines += [f"  connect \\d {{ {' '.join(signal(number) for number in outputs[::-1].tolist())} }}", "end", ""]
    return "\n".join(lines)


def _macro(name: str, macro: str, words: npt.NDArray[np.uint8], address_bits: int) -> str:
    """A module with a macro in it, whose pins are single bits."""
    width = words.shape[1]
    lines = [
        f"module {name}", f"  wire width {address_bits} input 1 \\a", f"  wire width {width} output 2 \\d",
        f"  cell \\{macro} \\macro",
        *(f"    connect \\a{bit} \\a [{bit}]" for bit in range(address_bits)),
        *(f"    connect \\d{bit} \\d [{bit}]" for bit in range(width)),
        "  end", "end", "",
    ]  # fmt: skip
    return "\n".join(lines)
