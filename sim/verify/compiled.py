"""A unit as a program: the Verilog compiled by Verilator behind a loop in C++ that streams beats through it.

The fastest of the ways to simulate, and the one in which the Verilog itself can train: no Python between the clocks.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lns.gausslog import cache_dir
from sim.verify.tools import sources_of, tool_environment
from sim.verify.unit import Port, Unit, VerifyError
from sim.verify.wrapper import lane_text, wrapper_text

__all__ = ["CompiledUnit", "Words32", "pack_columns", "unpack_columns"]

Words32 = npt.NDArray[np.uint32]  #: a row a beat, its bits from the low word up
Columns = npt.NDArray[np.int64]  #: of a port: a value a beat, or (beats, lanes) for lanes side by side


class CompiledUnit:
    """A unit compiled with `DEPTH` 0 if it is combinational, else 1; built once and kept beside the generated tables.

    Parameters
    ----------
    unit : Unit
    rtl_dir : Path, optional
        Verilog that replaces the package's own files of the same names.

    Raises
    ------
    VerifyError
        If it does not build; `MissingTool` if Verilator or a compiler is missing.
    """

    def __init__(self, unit: Unit, rtl_dir: Path | None = None) -> None:
        self.unit = unit
        environment = tool_environment("verilator")
        wrapper = f"{unit.module}_wrapped"
        texts = {name: path.read_text("utf-8") for name, path in sources_of(unit, rtl_dir).items()}
        texts |= {"wrapper.v": wrapper_text(unit, wrapper), "lns_lane.v": lane_text(unit, wrapper)}
        sources = list(texts)
        texts |= {"main.cpp": _MAIN, **unit.roms()}
        compiler = shutil.which("verilator", path=environment["PATH"]) or "verilator"
        key = hashlib.sha256("\0".join([compiler, *(f"{k}\0{v}" for k, v in sorted(texts.items()))]).encode())
        self.folder = cache_dir() / "compiled" / f"{unit.module}-{key.hexdigest()[:20]}"
        if not (self.folder / "run").is_file():
            _build(unit, self.folder, texts, sources, compiler, environment)

    def run(self, beats: Words32, results: int) -> Words32:
        """Stream beats through the unit.

        Parameters
        ----------
        beats : uint32, (n, words of 32 bits that hold all inputs)
        results : int
            How many beats must come out.

        Returns
        -------
        uint32, (results, words of 32 bits that hold all outputs)

        Raises
        ------
        VerifyError
            If fewer or more results came out.
        """
        words_in, words_out = (-(-bits // 32) for bits in (self.unit.input_bits, self.unit.output_bits))
        if beats.shape[1:] != (words_in,):
            raise ValueError(f"{self.unit.module}: beats must have {words_in} words of 32 bits, got {beats.shape}")
        command = [str(self.folder / "run"), str(results)]
        data = np.ascontiguousarray(beats, np.uint32).tobytes()
        done = subprocess.run(command, cwd=self.folder, input=data, capture_output=True)
        if done.returncode or len(done.stdout) != 4 * words_out * results:
            came = len(done.stdout) // (4 * words_out)
            text = done.stderr.decode(errors="replace").strip()
            raise VerifyError(f"{self.unit.module} {self.unit}: {results} results were due, {came} came out. {text}")
        return np.frombuffer(done.stdout, np.uint32).reshape(results, words_out)


def _build(
    unit: Unit, folder: Path, texts: dict[str, str], sources: Sequence[str], compiler: str, environment: dict[str, str]
) -> None:
    """Compile in a folder beside and rename it, so that a killed build leaves nothing that looks whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="build-") as name:
        for file, text in texts.items():
            (Path(name) / file).write_text(text, "utf-8")
        command = [
            compiler, "--cc", "--exe", "--build", "-O3", "--output-split", "0", "--top-module", "lns_lane",
            f"-GDEPTH={int(unit.sequential)}", "-CFLAGS", f"-O2 -std=c++17 -DSEQUENTIAL={int(unit.sequential)}",
            "-o", "../run", *sources, "main.cpp",
        ]  # fmt: skip
        done = subprocess.run(command, cwd=name, env=environment, capture_output=True, text=True)
        if done.returncode:
            tail = "\n".join((done.stderr or done.stdout).strip().splitlines()[-15:])
            raise VerifyError(f"{unit.module} {unit} does not compile:\n{tail}")
        shutil.rmtree(Path(name) / "obj_dir")
        try:
            os.rename(name, folder)
        except OSError:  # somebody else was faster
            if not (folder / "run").is_file():
                raise
        Path(name).mkdir(exist_ok=True)  # for the context manager to remove


def pack_columns(columns: Sequence[Columns], ports: Sequence[Port]) -> Words32:
    """Beats from an array a port, the first port in the low bits; of one that is (beats, lanes), lane 0 is lowest."""
    parts = []
    for values, port in zip(columns, ports, strict=True):
        rows = values.reshape(len(values), -1).astype(np.int64)
        width = port.width // rows.shape[1]
        least, most = (-(1 << (width - 1)), 1 << (width - 1)) if port.signed else (0, 1 << width)
        if rows.size and not (least <= rows.min() and rows.max() < most):
            given = f"{rows.min()} to {rows.max()}"
            raise ValueError(f"{port.name}: values must be from {least} to {most - 1}, got {given}")
        parts.append(((rows[:, :, None] >> np.arange(width)) & 1).astype(np.uint8).reshape(len(rows), -1))
    bits = np.concatenate(parts, axis=1)
    padded = np.pad(bits, ((0, 0), (0, -bits.shape[1] % 32)))
    return np.packbits(padded, axis=1, bitorder="little").view("<u4").astype(np.uint32)


def unpack_columns(beats: Words32, ports: Sequence[Port]) -> list[Columns]:
    """An array a port from beats; ports of at most 63 bits."""
    bits = np.unpackbits(beats.astype("<u4").view(np.uint8).reshape(len(beats), -1), axis=1, bitorder="little")
    columns, low = [], 0
    for port in ports:
        part = bits[:, low : low + port.width].astype(np.int64)
        values = (part << np.arange(port.width)).sum(axis=1)
        if port.signed:
            values -= part[:, -1] << port.width
        columns.append(values)
        low += port.width
    return columns


_MAIN = """\
// Streams beats from standard input through a unit, and what comes out to standard output.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <type_traits>
#include "Vlns_lane.h"
#include "verilated.h"

template <class T, std::enable_if_t<std::is_integral<T>::value, int> = 0>
static void get(const T& signal, uint32_t* words) {
  words[0] = static_cast<uint32_t>(signal);
  if (sizeof(T) > 4) words[1] = static_cast<uint32_t>(static_cast<uint64_t>(signal) >> 32);
}
template <class T, std::enable_if_t<std::is_integral<T>::value, int> = 0>
static void put(T& signal, const uint32_t* words) {
  uint64_t value = words[0];
  if (sizeof(T) > 4) value |= static_cast<uint64_t>(words[1]) << 32;
  signal = static_cast<T>(value);
}
template <std::size_t N>
static void get(const VlWide<N>& signal, uint32_t* words) {
  for (std::size_t i = 0; i < N; i++) words[i] = signal[i];
}
template <std::size_t N>
static void put(VlWide<N>& signal, const uint32_t* words) {
  for (std::size_t i = 0; i < N; i++) signal[i] = words[i];
}
template <class T>
constexpr std::size_t words_of() {
  return (sizeof(T) + 3) / 4;
}

int main(int argc, char** argv) {
  const unsigned long long due = std::strtoull(argv[1], nullptr, 10);
  static char in_buffer[1 << 20], out_buffer[1 << 20];
  std::setvbuf(stdin, in_buffer, _IOFBF, sizeof in_buffer);
  std::setvbuf(stdout, out_buffer, _IOFBF, sizeof out_buffer);
  VerilatedContext context;
  Vlns_lane top{&context};
  constexpr std::size_t in_words = words_of<std::remove_reference_t<decltype(top.in_i)>>();
  constexpr std::size_t out_words = words_of<std::remove_reference_t<decltype(top.out_o)>>();
  uint32_t in[in_words] = {}, out[out_words] = {};
  unsigned long long seen = 0;
  top.clk_i = 0;
  top.rst_ni = 0;
  top.valid_i = 0;
  top.ready_i = 1;
  top.eval();
  top.rst_ni = 1;
  top.eval();
#if SEQUENTIAL
  bool have = std::fread(in, 4, in_words, stdin) == in_words;
  for (int idle = 0; idle < 5000; idle++) {
    top.valid_i = have;
    if (have) put(top.in_i, in);
    top.clk_i = 0;
    top.eval();
    const bool taken = have && top.ready_o;
    if (top.valid_o) {
      get(top.out_o, out);
      std::fwrite(out, 4, out_words, stdout);
      seen++;
      idle = 0;
    }
    if (taken) idle = 0;
    top.clk_i = 1;
    top.eval();
    if (taken) have = std::fread(in, 4, in_words, stdin) == in_words;
    if (!have && seen >= due && idle > 64) break;
  }
#else
  top.valid_i = 1;
  while (std::fread(in, 4, in_words, stdin) == in_words) {
    put(top.in_i, in);
    top.eval();
    get(top.out_o, out);
    std::fwrite(out, 4, out_words, stdout);
    seen++;
  }
#endif
  top.final();
  std::fflush(stdout);
  return seen == due ? 0 : 1;
}
"""
