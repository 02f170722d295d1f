"""What our own code is, in the keys of results that are kept."""

from __future__ import annotations

import ast
import hashlib
import threading
from collections.abc import Iterable

__all__ = ["syntax_digest"]

#: In CPython 3.11 two threads that make syntax trees at a time spoil each other's count of recursions (SystemError).
_PARSING = threading.Lock()


def syntax_digest(sources: Iterable[str]) -> str:
    """SHA-256 of the syntax trees of Python sources, docstrings aside."""
    whole = hashlib.sha256()
    for source in sources:
        with _PARSING:
            tree = ast.parse(source)
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
                node.body = node.body[1:]
        whole.update(ast.dump(tree).encode())
    return whole.hexdigest()
