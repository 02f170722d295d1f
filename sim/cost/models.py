"""Verilog models of a library's cells, from what Liberty says of them: functions, states, and a path for each delay."""

from __future__ import annotations

from collections.abc import Iterable

from sim.cost.cells import Cell, State
from sim.cost.errors import CostError
from sim.cost.expression import Expression
from sim.cost.macro import RomMacro

__all__ = ["model_text", "models_text"]


def models_text(cells: Iterable[Cell]) -> str:
    """A module for each cell."""
    return "\n".join(model_text(cell) for cell in cells)


def model_text(cell: Cell) -> str:
    """The module of a cell, for simulation.

    An output is a primitive with a table: inputs that change at once are then seen at once, where an expression of
    several operators would show it their differences first. Every path from an input to an output that it can change
    has a ``specify`` path of no delay, for SDF to annotate. A flip-flop stores at the rise of its clock, its
    asynchronous clear and preset act while they are active.

    Raises
    ------
    CostError
        If it has an output without a function, or a name that Verilog has not.
    """
    for name in (cell.name, *cell.pins):
        if not name.isidentifier():
            raise CostError(f"cell {cell.name}: a plain name is required, got {name}")
    tables, lines = [], [f"module {cell.name} ({', '.join(cell.pins)});"]
    lines += [f"  {'output' if pin.output else 'input'} {pin.name};" for pin in cell.pins.values()]
    if isinstance(cell, RomMacro):
        return "\n".join([*lines, *_memory(cell), "endmodule", ""])
    if cell.state:
        lines += _state(cell, cell.state)
    for name in cell.outputs:
        pin = cell.pins[name]
        if pin.function is None or pin.three_state:
            raise CostError(f"cell {cell.name}: a function without a condition is required of output {name}")
        if cell.state:
            lines.append(f"  assign {name} = {_verilog(cell, pin.function)};")
        else:
            tables += _table(cell, name)
            lines.append(f"  {cell.name}_to_{name} ({', '.join([name, *cell.inputs])});")
    lines.append("  specify")
    for name in cell.outputs:
        sources = [source for source in cell.inputs if _reaches(cell, source, name)]
        lines += [f"    ({source} => {name}) = 0;" for source in sources]
    return "\n".join([*tables, *lines, "  endspecify", "endmodule", ""])


def _table(cell: Cell, output: str) -> list[str]:
    """The primitive of an output."""
    inputs, truth = cell.inputs, cell.truth(Expression("", output))
    rows = [f"    {' '.join(f'{row:0{len(inputs)}b}'[::-1])} : {value:d};" for row, value in enumerate(truth)]
    return [
        f"primitive {cell.name}_to_{output} (result, {', '.join(inputs)});",
        f"  output result;\n  input {', '.join(inputs)};\n  table",
        *rows,
        "  endtable\nendprimitive",
    ]


def _reaches(cell: Cell, source: str, output: str) -> bool:
    """Whether an input can change an output by itself."""
    if cell.state is None:
        return bool(cell.sensitised(output, source).any())
    state = cell.state
    acting = [state.clock, state.clear, state.preset, *([state.data] if state.latch else [])]
    return any(source in one.names for one in acting if one is not None)


def _verilog(cell: Cell, expression: Expression) -> str:
    """With the state's own signals, which no pin's name hides."""
    if not expression.operator:
        names = {cell.state.name: "state_q", cell.state.inverse: "state_qn"} if cell.state else {}
        return names.get(expression.name, expression.verilog)
    parts = tuple(Expression("", _verilog(cell, part)) for part in expression.parts)
    return Expression(expression.operator, parts=parts).verilog


def _memory(cell: RomMacro) -> list[str]:
    """A table of words."""
    rows, width = cell.table, cell.words.shape[1]
    assigned = (f"    words[{number}] = {width}'b{''.join(map(str, row))};" for number, row in enumerate(rows[:, ::-1]))
    address, data = (", ".join(reversed(pins)) for pins in (cell.inputs, cell.outputs))
    return [
        f"  reg [{width - 1}:0] words [0:{len(rows) - 1}];", "  initial begin", *assigned, "  end",
        f"  assign {{{data}}} = words[{{{address}}}];", "  specify",
        *(f"    ({source} => {output}) = 0;" for output in cell.outputs for source in cell.inputs), "  endspecify",
    ]  # fmt: skip


def _state(cell: Cell, state: State) -> list[str]:
    """Storage. It starts with a random bit, as in silicon, and not with x: that would stay for ever where gates compute
    what does not depend on it in a way that x cannot see."""
    clock, data = _verilog(cell, state.clock), _verilog(cell, state.data)
    clear, preset = (_verilog(cell, one) if one else "1'b0" for one in (state.clear, state.preset))
    both = {"L": "1'b0", "H": "1'b1", "N": "state_q", "T": "~state_q"}.get(state.both, "1'bx")
    acting = f"state_clear & state_preset ? {both} : state_preset"
    lines = [
        "  reg state_q;",
        "  wire state_qn = ~state_q;",
        f"  wire state_clock = {clock}, state_clear = {clear}, state_preset = {preset}, state_data = {data};",
        "  initial state_q = $random;",
        f"  always @(state_clear or state_preset) if (state_clear | state_preset) state_q <= {acting};",
    ]
    stored = f"state_q <= state_clear | state_preset ? ({acting}) : state_data"
    if state.latch:
        inputs = "state_clock or state_data or state_clear or state_preset"
        return [*lines, f"  always @({inputs}) if (state_clock) {stored};"]
    return [*lines, f"  always @(posedge state_clock) {stored};"]
