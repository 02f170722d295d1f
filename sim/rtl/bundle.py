"""What is in a bundle, file by file, and how it gets to the disk."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import lns
from lns.design import Design
from lns.files import memh_text
from lns.gausslog import rom_width
from sim.paths import data_dir
from sim.rtl.limits import check_roms
from sim.rtl.makefile import makefile_text
from sim.rtl.parameters import corrections, parameters_text
from sim.rtl.texts import core_text, readme_text
from sim.verify.unit import Unit
from sim.verify.units import instances
from sim.verify.vectors import bench_text, vector_files
from sim.verify.wrapper import PIPELINE, wrapper_text

__all__ = ["MARKER", "Bundle", "BundleError", "Instance", "build", "check_target", "instance_names", "write"]

MARKER = "bundle.json"  #: what is in the bundle, for programs; a folder without it is none
SUMS = "SHA256SUMS"


class BundleError(ValueError):
    """A bundle that cannot be written where it was asked for."""


@dataclass(frozen=True, slots=True)
class Instance:
    """A unit of the design under the name that its wrapper has.

    Attributes
    ----------
    name : str
        Of the wrapper, its module and its file.
    unit : Unit
    roms : dict
        The unit's own name of a ROM image -> its path in the bundle.
    beats, results : int
        What its bench drives and compares.
    """

    name: str
    unit: Unit
    roms: dict[str, str]
    beats: int
    results: int

    def parameters(self) -> dict[str, int | str]:
        """The Verilog parameters, ROM images by their paths in the bundle."""
        values = self.unit.parameters().items()
        return {key: self.roms[value] if isinstance(value, str) else value for key, value in values}


@dataclass(frozen=True, slots=True)
class Bundle:
    """All files of a bundle, by their paths in it."""

    name: str
    instances: tuple[Instance, ...]
    files: dict[str, str]

    def describe(self) -> dict[str, Any]:
        """What was written, as plain data."""
        return json.loads(self.files[MARKER]) | {"files": len(self.files)}


def build(design: Design, vectors: int, seed: int) -> Bundle:
    """The bundle of a design.

    Parameters
    ----------
    design : Design
    vectors : int
        Random transactions of each bench, corners and sweeps of tables aside; a sequential unit, whose transactions
        are of many beats, takes a sixteenth of them.
    seed : int
        Of the random transactions.

    Raises
    ------
    DesignError
        If a ROM would be absurdly large.
    """
    check_roms(design)
    name = _identifier(design.name)
    units = instances(design)
    files: dict[str, str] = {"design.toml": design.to_toml()}
    found = []
    for own, unit in zip(instance_names(design.name, units), units, strict=True):
        roms = {image: _store_rom(files, image, text) for image, text in unit.roms().items()}
        files[f"rtl/{own}.v"] = _with_paths(wrapper_text(unit, own), roms)
        transactions = unit.transactions(seed, vectors // 16 if unit.sequential else vectors, False)
        bench = f"{own}_tb"
        vectors_of = vector_files(unit, transactions, bench)
        files |= {f"tb/{path}": text for path, text in vectors_of.items()}
        beats, results = (_words(text) for text in vectors_of.values())
        files[f"tb/{bench}.v"] = bench_text(unit, own, bench, beats, results, "tb/")
        found.append(Instance(own, unit, roms, beats, results))
    sources = list(dict.fromkeys([PIPELINE, *(source for unit in units for source in unit.sources)]))
    for source in sources:
        files[f"rtl/{source}"] = (data_dir("rtl") / source).read_text("utf-8")
    verilog = [f"rtl/{source}" for source in sources] + [f"rtl/{one.name}.v" for one in found]
    files[f"{name}.f"] = "\n".join(["// Verilog of the design, from the bundle's root; benches aside", *verilog, ""])
    correction = corrections(design)
    title = f"bias corrections of the update unit, DB({design.update.kappa}·t)"
    correction_file = _store_rom(files, "correction.memh", memh_text(correction, rom_width(correction), title))
    parameters = {one.name: one.parameters() for one in found}
    files[f"{name}_parameters.vh"] = parameters_text(design, name.upper(), parameters, correction_file)
    files["Makefile"] = makefile_text(design, name, [one.name for one in found])
    files[f"{name}.core"] = core_text(design, name, [one.name for one in found], verilog, files)
    files["spec.md"] = (data_dir("docs") / "spec.md").read_text("utf-8")
    licence = _licence()
    if licence is not None:
        files["LICENSE"] = licence
    files["README.md"] = readme_text(design, name, found, files)
    files[MARKER] = json.dumps(_manifest(design, name, found, vectors, seed), indent=1) + "\n"
    files[SUMS] = "".join(f"{_digest(text)}  {path}\n" for path, text in sorted(files.items()))
    return Bundle(name, tuple(found), files)


def _identifier(text: str) -> str:
    """A design's name as the start of names of modules and files, none of which is one of the package's modules."""
    name = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_").lower()
    return name if re.match(r"(?!lns(_|$))[a-z]", name) else f"design_{name}".rstrip("_")


def instance_names(design: str, units: Sequence[Unit]) -> list[str]:
    """``<design>_<unit>_<place>``, the first place where the design has the instance; a number if that is taken."""
    names: list[str] = []
    design = _identifier(design)
    for unit in units:
        kind, place = unit.module.removeprefix("lns_"), _identifier(unit.label.split("+")[0])
        name = f"{design}_{kind}" if place == kind else f"{design}_{kind}_{place}"
        same = sum(re.fullmatch(rf"{name}(_\d+)?", other) is not None for other in names)
        names.append(f"{name}_{same + 1}" if same else name)
    return names


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _words(image: str) -> int:
    """Words of a memory image."""
    return sum(not line.startswith("//") for line in image.splitlines())


def _store_rom(files: dict[str, str], name: str, text: str) -> str:
    """Put a ROM image into the bundle, under a name that tells contents apart; equal ones are one file."""
    path = PurePosixPath(name)
    stored = f"rom/{path.stem}_{_digest(text)[:8]}{path.suffix}"
    files[stored] = text
    return stored


def _with_paths(verilog: str, roms: dict[str, str]) -> str:
    """A wrapper whose ROM images are named by their paths in the bundle."""
    for name, path in roms.items():
        if f'("{name}")' not in verilog:
            raise AssertionError(f"a ROM image that no parameter names: {name}")
        verilog = verilog.replace(f'("{name}")', f'("{path}")')
    return verilog


def _licence() -> str | None:
    """The licence's text, if the package was installed with it."""
    try:
        return importlib.metadata.distribution("lns-hardware").read_text("licenses/LICENSE")
    except importlib.metadata.PackageNotFoundError:
        return None


def _manifest(design: Design, name: str, found: Sequence[Instance], vectors: int, seed: int) -> dict[str, Any]:
    return {
        "written_by": f"lns {lns.__version__}",
        "design": design.name,
        "name": name,
        "vectors": vectors,
        "seed": seed,
        "instances": [
            {
                "name": one.name, "unit": one.unit.module, "instance": str(one.unit), "where": one.unit.label,
                "beats": one.beats, "results": one.results,
            }
            for one in found
        ],
    }  # fmt: skip


def check_target(folder: Path, force: bool) -> Path:
    """Where a bundle is to be, if it may be there.

    Raises
    ------
    BundleError
        If the folder has something in it; a bundle, with all that was added to it, may be replaced if ``force`` is set.
    """
    target = folder.resolve()
    if Path.cwd().is_relative_to(target):
        raise BundleError(f"{folder}: is the current folder or holds it; name a new one")
    if target.exists():
        if not target.is_dir():
            raise BundleError(f"{folder}: is a file; a bundle is a folder")
        if any(target.iterdir()):
            if not (target / MARKER).is_file():
                raise BundleError(f"{folder}: is not empty, and no bundle; name a new folder")
            if not force:
                raise BundleError(f"{folder}: holds a bundle; --force replaces it and all that is in it")
    return target


def write(bundle: Bundle, folder: Path, force: bool) -> None:
    """Write a bundle into a folder of its own, which is there whole or not at all.

    Raises
    ------
    BundleError
        As `check_target` says.
    """
    target = check_target(folder, force)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as temporary:
        new = Path(temporary) / "new"
        for path, text in bundle.files.items():
            file = new / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text.encode())
        if target.exists():
            os.replace(target, Path(temporary) / "old")
        try:
            os.replace(new, target)
        except OSError:
            if (Path(temporary) / "old").exists():
                os.replace(Path(temporary) / "old", target)
            raise
