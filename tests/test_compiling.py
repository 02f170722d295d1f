"""Machine code that is kept holds until something changes that is compiled into it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import lns

SUM = """
import numpy as np
from lns import LNSFormat, TableKind, kernels, table
fmt = LNSFormat.parse("lns<8,3>")
one = np.array([fmt.bias], np.uint8)
word, _ = kernels.add(one, one, fmt, table(TableKind("full"), 3))
print(int(word[0]) - fmt.bias)
"""

JIT = "from lns.kernels.compiling import jit\n"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(Path(lns.__file__).parent, tmp_path / "lns", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def difference(folder: Path) -> int:
    """Codes between 1 and 1 + 1, by the copy in a folder."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", SUM], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_a_change_of_what_a_kernel_calls_from_another_file_is_compiled(copy: Path) -> None:
    assert difference(copy) == 8  # an octave
    kept = sorted(path.name for path in copy.rglob("elementwise.*add*.nbc"))
    assert kept and difference(copy) == 8
    tables = copy / "lns" / "kernels" / "tables.py"
    text = tables.read_text("utf-8")
    planted = text.replace("indices[i] = table[", "indices[i] = 1 + table[")
    assert planted != text
    tables.write_text(planted, "utf-8")
    assert difference(copy) == 9


def test_so_is_a_change_beside_a_function_outside_the_kernels(tmp_path: Path) -> None:
    """As the simulations of gates, which call one another's loops from file to file."""
    (tmp_path / "called.py").write_text(JIT + "@jit\ndef one():\n    return 1\n", "utf-8")
    (tmp_path / "caller.py").write_text(
        JIT + "from called import one\n@jit\ndef two():\n    return one() + one()\nprint(two())\n", "utf-8"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(lns.__file__).parents[1])}

    def printed() -> str:
        return subprocess.check_output([sys.executable, "caller.py"], cwd=tmp_path, env=environment, text=True)

    assert printed() == "2\n" and printed() == "2\n"
    assert list(tmp_path.rglob("caller.two*.nbc"))
    (tmp_path / "called.py").write_text(JIT + "@jit\ndef one():\n    return 21\n", "utf-8")
    assert printed() == "42\n"
