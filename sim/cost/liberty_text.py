"""The syntax of Liberty files: nested groups of attributes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from sim.cost.errors import CostError

__all__ = ["Group", "parse_groups"]

# a comment; a string; a name, number or other bare value; punctuation. A backslash ends a line that goes on.
_TOKEN = re.compile(r'(/\*.*?\*/|//[^\n]*|(?:\\?\s)+)|"((?:[^"\\]|\\.)*)"|([^\s"(){}:;,\\]+)|([(){}:;,])', re.DOTALL)


@dataclass
class Group:
    """``kind (arguments) { … }``: simple attributes by name, complex ones (``values (…)``) as lists of arguments.

    Where an attribute stands more than once, the last one counts.
    """

    kind: str
    arguments: list[str]
    line: int
    attributes: dict[str, str] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=dict)
    groups: list[Group] = field(default_factory=list)

    def of_kind(self, *kinds: str) -> Iterator[Group]:
        """Its groups of these kinds, in the order of the file."""
        return (group for group in self.groups if group.kind in kinds)


def parse_groups(text: str) -> Group:
    """The one outermost group of a Liberty file.

    Raises
    ------
    CostError
        With the line, where the text is no Liberty.
    """
    root = Group("", [], 0)
    stack, at, end = [root], 0, len(text)
    line, counted = 1, 0  # of the last group, and its place
    words: list[str] = []  # of the statement so far: its name, then its arguments
    form = ""  # of the statement: a name alone, ":" simple, "(" in its arguments, ")" behind them
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            raise _error(text, at, f"unexpected {text[at]!r}")
        start, at = at, match.end()
        which = match.lastindex
        if which == 1:
            if form == ":" and len(words) > 1 and "\n" in match[1] and "\\" not in match[1]:
                _finish(stack[-1], words, form)  # nor behind a simple one that its line ends
                words, form = [], ""
            continue
        if which in (2, 3):
            if form == ")":  # no semicolon behind a complex attribute: some writers leave it out
                _finish(stack[-1], words, form)
                words, form = [], ""
            if form == "" and words:
                raise _error(text, start, f"unexpected {match[0][:30]!r} behind {words[0]!r}")
            words.append(match[which])
            continue
        mark = match[4]
        if mark == "{" and form == ")":
            line, counted = line + text.count("\n", counted, start), start
            group = Group(words[0], words[1:], line)
            stack[-1].groups.append(group)
            stack.append(group)
            words, form = [], ""
        elif mark in "}" or mark == ";":
            if form in ("(",) or (words and form == ""):
                raise _error(text, start, f"unexpected {mark!r}")
            _finish(stack[-1], words, form)
            words, form = [], ""
            if mark == "}":
                stack.pop()
                if not stack:
                    raise _error(text, start, "unexpected '}'")
        elif mark in ":(" and len(words) == 1 and form == "":
            form = mark
        elif mark == ")" and form == "(":
            form = ")"
        elif not (mark == "," and form == "("):
            raise _error(text, start, f"unexpected {mark!r}")
    if len(stack) > 1 or words:
        raise _error(text, end, f"the file ends inside {stack[-1].kind or words[0]!r}")
    if len(root.groups) != 1 or root.groups[0].kind != "library":
        raise CostError(f"one group library is required, got {[group.kind for group in root.groups]}")
    return root.groups[0]


def _finish(group: Group, words: list[str], form: str) -> None:
    if form == ":":
        group.attributes[words[0]] = " ".join(words[1:])
    elif form == ")":
        group.lists[words[0]] = words[1:]


def _error(text: str, at: int, what: str) -> CostError:
    return CostError(f"line {text.count(chr(10), 0, at) + 1}: {what}")
