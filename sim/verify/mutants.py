"""Faults to plant: every place of a Verilog file where one small edit makes another circuit, and bits of ROM images.

A `Mutant` differs from the original in one token or one expression. Comments, text, declarations, parameters and what
only a simulator sees are left alone: an edit there is no fault of a circuit.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

__all__ = ["FAULTS", "Mutant", "mutants", "table_mutants"]

#: The classes, each told in docs/mutation.md; every mutant belongs to one.
FAULTS = ("constant", "operator", "comparison", "saturation", "rounding", "table", "reset", "handshake")


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault.

    Attributes
    ----------
    file : str
        The Verilog file or ROM image.
    line : int
        Where, from 1.
    fault : str
        One of `FAULTS`.
    before, after : str
        The lines that change, without their indentation.
    text : str
        The whole file with the fault.
    instance : str
        The slug of the one instance that has it; empty for a fault in Verilog, which all have.
    """

    file: str
    line: int
    fault: str
    before: str
    after: str
    text: str = field(repr=False)
    instance: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.fault}: {self.before}  ->  {self.after}"


# --- Verilog in tokens ---------------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"""
    (?P<blank> `ifndef\ SYNTHESIS\b .*? `endif | \s+ | //[^\n]* | /\*.*?\*/ | "(?:\\.|[^"\\])*" )
  | (?P<number> (?:\d+\s*)?'[sS]?[bodhBODH][\da-fA-F_]+ | '[01](?!\w) | \d[\d_]* )
  | (?P<name> [$`]?[A-Za-z_][\w$]* )
  | (?P<symbol> <<<|>>>|===|!==|<<|>>|<=|>=|==|!=|&&|\|\||\*\*|\+\+|--|\+:|-:|::|. )
    """,
    re.VERBOSE | re.DOTALL,
)

_OPENING, _CLOSING = ("(", "[", "{"), (")", "]", "}")
_BOUNDARIES = ("begin", "end", "else", "generate", "endgenerate", "endmodule", "endfunction")
_DECLARATIONS = (
    "module", "parameter", "input", "output", "logic", "wire", "reg", "int", "integer", "genvar", "function", "initial",
)  # fmt: skip
#: What comes before a sign and is no operand.
_WORDS = (*_BOUNDARIES, "if", "for", "assign", "return", "posedge", "negedge", "or")


@dataclass(slots=True)
class _Token:
    kind: str
    text: str
    start: int
    end: int
    depth: int = 0  # of the brackets around it in its statement
    reset: bool = False  # in the branch of a process that reset takes
    context: frozenset[str] = frozenset()  # the names of its statement, or of its port's connection


def _tokens(text: str) -> list[_Token]:
    """The tokens that mean something."""
    found = (match for match in _TOKEN.finditer(text) if match.lastgroup != "blank")
    tokens = [_Token(match.lastgroup or "", match.group(), match.start(), match.end()) for match in found]
    _mark_reset(tokens)
    return tokens


def _mark_reset(tokens: Sequence[_Token]) -> None:
    """Mark every condition ``!rst_ni`` and what is done under it."""
    condition = ["if", "(", "!", "rst_ni", ")"]
    for i in range(len(tokens) - len(condition)):
        if [token.text for token in tokens[i : i + len(condition)]] == condition:
            end = i + len(condition)
            if tokens[end].text == "begin":
                level = 1
                while level:
                    end += 1
                    level += {"begin": 1, "end": -1}.get(tokens[end].text, 0)
            else:
                while tokens[end].text != ";":
                    end += 1
            for token in tokens[i:end]:
                token.reset = True


def _statements(tokens: Sequence[_Token]) -> Iterator[list[_Token]]:
    """Runs of tokens up to a semicolon or a keyword between statements; each token gets its depth."""
    statement: list[_Token] = []
    depth, skip = 0, 0
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        if skip:  # the label of a block
            skip -= 1
            continue
        if token.text in _CLOSING:
            depth -= 1
        token.depth = depth
        if token.text in _OPENING:
            depth += 1
        if depth == 0 and (token.text == ";" or token.text in _BOUNDARIES):
            if statement:
                yield statement
            statement = []
            if token.text in ("begin", "end") and following is not None and following.text == ":":
                skip = 2
        else:
            statement.append(token)
    if statement:
        yield statement


def _mark_contexts(statement: Sequence[_Token]) -> None:
    """Note the names beside each token: those of its statement; in an instance, those of the one connection."""
    names = frozenset(token.text for token in statement if token.kind == "name")
    for token in statement:
        token.context = names
    if _is_instance(statement):
        starts = [i for i, token in enumerate(statement) if token.text == "." and token.depth == 1]
        for start, end in zip(starts, [*starts[1:], len(statement)], strict=True):
            names = frozenset(token.text for token in statement[start:end] if token.kind == "name")
            for token in statement[start:end]:
                token.context = names


def _is_instance(statement: Sequence[_Token]) -> bool:
    texts = [token.text for token in statement[:4]]
    return texts[2:] == ["(", "."] and (texts[1] == "#" or statement[1].kind == "name")


def _assignment(statement: Sequence[_Token]) -> int:
    """The place of the sign that assigns, ``=`` or the ``<=`` of a process; past the end if there is none."""
    for i, token in enumerate(statement):
        if token.depth == 0 and token.text in ("=", "<="):
            return i
    return len(statement)


def _is_unary(previous: _Token | None) -> bool:
    if previous is None:
        return True
    if previous.kind == "symbol":
        return previous.text not in _CLOSING
    return previous.text in _WORDS


# --- edits ---------------------------------------------------------------------------------------------------------

_COMPARISONS = {
    ">": (">=", "<"), ">=": (">", "<"), "<": ("<=", ">"), "<=": ("<", ">"), "==": ("!=",), "!=": ("==",),
}  # fmt: skip
_OPERATORS = {
    "+": "-", "-": "+", "*": "+", "&": "|", "|": "&", "&&": "||", "||": "&&", "^": "|",
    "<<": ">>", ">>": "<<", "<<<": ">>>", ">>>": ">>",
}  # fmt: skip
_DROPPED = ("!", "~", "-")  # where they have one operand

_HANDSHAKE = re.compile(r"(\w+_)?(valid|ready)(_[iodq])?|take|give|(beat_)?last(_[iodq])?|(emit|complete|first)_[dq]")
_ROUNDING = re.compile(r"rest|half|more|up|floor|whole|threshold|base", re.IGNORECASE)
_SATURATION = re.compile(
    r"(\w+_)?(saturate|underflow|above|below)(_[iodq])?|beyond|clamped|clipped|empty|bound|Most|Least"
)
#: Signals of one bit that a fault may hold at a level: a missed event or saturation, a rounding that never goes up, a
#: handshake that waits for nothing or for ever.
_HELD_LOW = re.compile(r"(\w+_)?(saturate|underflow|above|below)(_[iodq])?|beyond|clamped|clipped|half|more|up")


def mutants(file: str, text: str) -> list[Mutant]:
    """All faults of one Verilog file, in its order.

    Parameters
    ----------
    file : str
        Its name.
    text : str
        One module in the style of the package's own.
    """
    found: dict[str, Mutant] = {}
    for statement in _statements(_tokens(text)):
        _mark_contexts(statement)
        for first, last, replacement, fault in _edits(statement, "clk_i" in text, "saturate_o" in text):
            mutant = _edited(file, text, first, last, replacement, fault)
            found.setdefault(mutant.text, mutant)
    return list(found.values())


def _edited(file: str, text: str, first: _Token, last: _Token, replacement: str, fault: str) -> Mutant:
    start, end = text.rfind("\n", 0, first.start) + 1, text.find("\n", last.end)
    head, tail = text[start : first.start], text[last.end : end]
    before = " ".join(text[start:end].split())
    after = " ".join(f"{head}{replacement}{tail}".split())
    changed = text[: first.start] + replacement + text[last.end :]
    return Mutant(file, text.count("\n", 0, first.start) + 1, fault, before, after, changed)


def _edits(statement: list[_Token], clocked: bool, events: bool) -> Iterator[tuple[_Token, _Token, str, str]]:
    """First and last token to replace, by what, and the class."""
    if statement[0].text in _DECLARATIONS:
        return
    assignment = _assignment(statement)
    if statement[0].text == "localparam":
        if statement[1].text != "logic":  # a width or the name of a choice; what has bits is part of the circuit
            return
        statement = statement[assignment:]
        assignment = 0
    condition = statement[0].text in ("if", "for", "always_ff") or _is_instance(statement)

    def fault(token: _Token, edit: str) -> str:
        if token.reset:
            return "reset"
        for applies, words, name in (
            (clocked, _HANDSHAKE, "handshake"), (True, _ROUNDING, "rounding"), (events, _SATURATION, "saturation")
        ):
            if applies and any(words.fullmatch(word) for word in token.context):
                return name
        return edit

    widths = _cast_widths(statement)
    for i, token in enumerate(statement):
        previous = statement[i - 1] if i else None
        if i in widths:
            continue
        if token.kind == "number":
            for value in _other_numbers(token.text):
                yield token, token, value, fault(token, "constant")
        elif token.kind == "name":
            if i > assignment or (condition and token.depth and not _is_port(statement, i)):
                end = statement[_index_end(statement, i)]
                levels = ["1'b0"] if events and _HELD_LOW.fullmatch(token.text) else []
                if clocked and _HANDSHAKE.fullmatch(token.text):
                    levels = ["1'b0", "1'b1"]
                if not levels and _is_input(statement, i):  # what an instance gets is lost
                    levels = ["'0"]
                for level in levels:
                    yield token, end, level, fault(token, "constant")
        elif token.text in _DROPPED and _is_unary(previous):
            yield token, token, "", fault(token, "operator")
        elif i == assignment or (token.text in ("&", "|", "^", "+", "-", "*") and previous is None):
            continue
        elif token.text in _COMPARISONS:
            for text in _COMPARISONS[token.text]:
                yield token, token, text, fault(token, "comparison")
        elif token.text in _OPERATORS:
            yield token, token, _OPERATORS[token.text], fault(token, "operator")
        elif token.text == "?":
            yield from _swapped(statement, i, fault(token, "operator"))


def _cast_widths(statement: Sequence[_Token]) -> set[int]:
    """The places of the tokens that give casts their widths."""
    places: set[int] = set()
    for i, token in enumerate(statement):
        if token.text == "'":
            first = i - 1
            if statement[first].text == ")":
                first = max(k for k in range(first) if statement[k].text == "(" and statement[k].depth == token.depth)
            places.update(range(first, i))
    return places


def _is_port(statement: Sequence[_Token], i: int) -> bool:
    """Whether a name is that of an instance's port, or what is driven by one of its outputs."""
    return statement[i - 1].text == "." or (
        _is_instance(statement) and statement[i - 1].text == "(" and statement[i - 2].text.endswith("_o")
    )


def _is_input(statement: Sequence[_Token], i: int) -> bool:
    """Whether a name is all that drives an input of an instance."""
    if not _is_instance(statement) or not 2 <= i < len(statement) - 1:
        return False
    port, opening, _, closing = (token.text for token in statement[i - 2 : i + 2])
    return port.endswith("_i") and (opening, closing) == ("(", ")")


def _other_numbers(text: str) -> list[str]:
    """A number plus one and minus one; a literal of all zeros or ones as the other of the two."""
    if text in ("'0", "'1"):
        return ["'1" if text == "'0" else "'0"]
    match = re.fullmatch(r"(\d+)\s*'([bodh])([\da-fA-F_]+)", text, re.IGNORECASE)
    if match is None:
        value = int(text.replace("_", "")) if text.replace("_", "").isdigit() else None
        return [] if value is None else [str(other) for other in (value + 1, value - 1) if other >= 0]
    width, base = int(match[1]), match[2].lower()
    value = int(match[3].replace("_", ""), {"b": 2, "o": 8, "d": 10, "h": 16}[base])
    others = sorted({(value + step) % (1 << width) for step in (1, -1)} - {value})
    return [f"{width}'{base}{other:{'x' if base == 'h' else base}}" for other in others]


def _index_end(statement: Sequence[_Token], i: int) -> int:
    """The place of the last token of a name with its indices."""
    while i + 1 < len(statement) and statement[i + 1].text == "[":
        depth = statement[i + 1].depth
        i = next(k for k in range(i + 2, len(statement)) if statement[k].text == "]" and statement[k].depth == depth)
    return i


def _swapped(statement: Sequence[_Token], i: int, fault: str) -> Iterator[tuple[_Token, _Token, str, str]]:
    """The two values of a conditional expression exchanged."""
    depth, open_questions, colon, end = statement[i].depth, 1, 0, len(statement)
    for k in range(i + 1, len(statement)):
        token = statement[k]
        if token.depth < depth or (token.depth == depth and token.text == ","):
            end = k
            break
        if token.depth == depth and token.text in ("?", ":") and not colon:
            open_questions += 1 if token.text == "?" else -1
            colon = 0 if open_questions else k
    then, otherwise = ([*part] for part in (statement[i + 1 : colon], statement[colon + 1 : end]))
    yield then[0], otherwise[-1], f"{_source(otherwise)} : {_source(then)}", fault


def _source(tokens: Sequence[_Token]) -> str:
    """Tokens as text, with blanks where there were some."""
    text = tokens[0].text
    for before, token in itertools.pairwise(tokens):
        text += (" " if token.start > before.end else "") + token.text
    return text


# --- ROM images ----------------------------------------------------------------------------------------------------


def table_mutants(rng: random.Random, count: int, instance: str, images: dict[str, str]) -> list[Mutant]:
    """Bits of ROM images flipped, at ``count`` places of each.

    Parameters
    ----------
    rng : random.Random
    count : int
        Of each image.
    instance : str
        The slug of the instance that reads them.
    images : dict
        File name -> image of `lns.files.memh_text`, whose first line but one tells the width.
    """
    found = []
    for file, image in images.items():
        lines = image.splitlines(keepends=True)
        width = int(re.findall(r"words of (\d+) bits", image)[0])
        places = [(i, bit) for i, line in enumerate(lines) if not line.startswith("//") for bit in range(width)]
        for i, bit in sorted(rng.sample(places, min(count, len(places)))):
            before = lines[i].strip()
            after = f"{int(before, 16) ^ 1 << bit:0{len(before)}x}"
            text = "".join([*lines[:i], f"{after}\n", *lines[i + 1 :]])
            found.append(Mutant(file, i + 1, "table", before, after, text, instance))
    return found
