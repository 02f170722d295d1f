"""``lns mutate``: plant faults in the Verilog of a design and count how many the benches catch.

A mutant is run under the self-checking bench of `sim.verify.vectors`, with the stimuli of ``lns verify``, in Icarus, in
one instance of its target after another until one fails. What no bench caught is put to a proof that it changes
nothing (`Bench.prove`). What is left is an explained survivor (``accepted.toml``) or a hole in the stimuli.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from lns.design import DesignError, load
from lns.files import atomic_write
from sim.rtl.limits import check_roms
from sim.verify.command import WrongInput, add_units, failed, natural
from sim.verify.mutant_bench import Bench
from sim.verify.mutants import FAULTS, Mutant, mutants, table_mutants
from sim.verify.prove.engine import check_tools
from sim.verify.targets import TARGETS, Exercise, exercises, targets_of
from sim.verify.tools import find_source, tool_environment
from sim.verify.unit import VerifyError

__all__ = ["ACCEPTED", "Explanation", "Outcome", "Score", "explanations", "mutate", "run"]

ACCEPTED = Path(__file__).with_name("accepted.toml")  #: survivors that are explained
LEAST_SCORE = 0.95
TABLE_BITS = 8  #: bits that are flipped in each ROM image


# --- what is found -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a mutant.

    Attributes
    ----------
    verdict : str
        ``caught``, ``equivalent`` (proven to change nothing in any instance), ``not built`` (it is no Verilog),
        ``accepted`` (explained in ``accepted.toml``) or ``survivor``.
    reason : str
        How it was caught or proven, the explanation, or what shows a survivor.
    """

    mutant: Mutant
    verdict: str
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """All but the mutant's text, for JSON."""
        return {k: v for k, v in asdict(self.mutant).items() if k != "text"} | {
            "verdict": self.verdict, "reason": self.reason
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Score:
    """What became of a target's mutants."""

    target: str
    instances: tuple[str, ...]
    generated: int
    outcomes: tuple[Outcome, ...]
    seconds: float

    def count(self, verdict: str, fault: str | None = None) -> int:
        """Mutants with a verdict, of one class or of all."""
        return sum(one.verdict == verdict and fault in (None, one.mutant.fault) for one in self.outcomes)

    def mutants(self, fault: str | None = None) -> int:
        """Those that are Verilog."""
        return sum(one.verdict != "not built" and fault in (None, one.mutant.fault) for one in self.outcomes)

    def score(self, fault: str | None = None) -> float:
        """Caught ones among those that change something; 1 if none does."""
        changing = self.mutants(fault) - self.count("equivalent", fault)
        return self.count("caught", fault) / changing if changing else 1.0

    @property
    def survivors(self) -> list[Outcome]:
        return [one for one in self.outcomes if one.verdict == "survivor"]

    @property
    def passed(self) -> bool:
        return self.score() >= LEAST_SCORE and not self.survivors

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        verdicts = ("caught", "equivalent", "accepted", "survivor", "not built")
        faults = [fault for fault in FAULTS if self.mutants(fault)]
        return {
            "unit": self.target, "instances": self.instances, "generated": self.generated,
            "mutants": self.mutants(), **{name.replace(" ", "_"): self.count(name) for name in verdicts},
            "score": self.score(), "passed": self.passed, "seconds": self.seconds,
            "classes": {
                fault: {"mutants": self.mutants(fault), "score": self.score(fault)}
                | {name: self.count(name, fault) for name in verdicts[:4]}
                for fault in faults
            },
            "not_caught": [one.to_dict() for one in self.outcomes if one.verdict in ("accepted", "survivor")],
        }  # fmt: skip


# --- survivors that are explained ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a mutant that no bench catches is none to catch."""

    file: str
    before: str
    after: str
    why: str

    def explains(self, mutant: Mutant) -> bool:
        return (self.file, self.before, self.after) == (mutant.file, mutant.before, mutant.after)


def explanations(path: Path = ACCEPTED) -> list[Explanation]:
    """The explained survivors."""
    return [Explanation(**entry) for entry in tomllib.loads(path.read_text("utf-8")).get("survivor", [])]


def stale(known: Sequence[Explanation], file: str, planted: Sequence[Mutant], outcomes: Sequence[Outcome]) -> list[str]:
    """Explanations of mutants of a file that do not exist, or that did not survive."""
    problems = []
    for entry in (entry for entry in known if entry.file == file):
        where = f"{entry.file}: {entry.before} -> {entry.after}"
        if not any(entry.explains(mutant) for mutant in planted):
            problems.append(f"{where}: there is no such mutant")
        problems += [
            f"{where}: {one.verdict}" for one in outcomes if entry.explains(one.mutant) and one.verdict != "accepted"
        ]
    return problems


# --- one target ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Settings:
    """How to mutate: the seed of stimuli, samples and table bits; the most mutants of a target; what runs at once."""

    seed: int = 0
    limit: int | None = None
    jobs: int = 1
    rtl_dir: Path | None = None


def mutate(
    target: str,
    chosen: Sequence[Exercise],
    settings: Settings,
    known: Sequence[Explanation] = (),
    on_outcome: Callable[[Outcome], None] | None = None,
    bench: Callable[..., Bench] = Bench.of,
) -> Score:
    """Plant the faults of one file and see which of them its instances' benches catch.

    Parameters
    ----------
    target : str
        The module; its file is ``<target>.v``.
    chosen : sequence of Exercise
    settings : Settings
    known : sequence of Explanation
        Survivors that are explained.
    on_outcome : callable, optional
        Called with each outcome.
    bench : callable
        Makes a `Bench` of an exercise, a folder, a seed and replaced Verilog.

    Raises
    ------
    VerifyError
        If a bench fails without a mutant, or if an explanation is stale.
    """
    start = time.perf_counter()
    file = f"{target}.v"
    text = find_source(file, settings.rtl_dir).read_text("utf-8")
    with tempfile.TemporaryDirectory(prefix="lns-mutate-") as name, ThreadPoolExecutor(settings.jobs) as pool:
        benches = [bench(exercise, Path(name), settings.seed, settings.rtl_dir) for exercise in chosen]
        # the originals first: no fault is planted in what is no Verilog
        timed = sorted(pool.map(_time, benches), key=lambda pair: pair[1])
        planted, sample = _faults(target, text, chosen, settings)
        judge = _Judge(timed, "clk_i" in text, known)
        outcomes = []
        try:
            for outcome in pool.map(judge, sample):
                outcomes.append(outcome)
                if on_outcome is not None:
                    on_outcome(outcome)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    problems = stale(known, file, planted, outcomes)
    if problems:
        raise VerifyError(f"{ACCEPTED.name} is stale: {'; '.join(problems)}")
    instances = tuple(exercise.slug for exercise in chosen)
    return Score(target, instances, len(planted), tuple(outcomes), time.perf_counter() - start)


def _faults(
    target: str, text: str, chosen: Sequence[Exercise], settings: Settings
) -> tuple[list[Mutant], list[Mutant]]:
    """All faults of a file and of its instances' ROM images, and those that are run."""
    rng = random.Random(f"{target} {settings.seed}")
    planted = mutants(f"{target}.v", text)
    if "initial $readmemh" in text:  # a comment on a parameter may name it too
        for exercise in chosen:
            planted += table_mutants(rng, TABLE_BITS, exercise.slug, exercise.unit.roms())
    if settings.limit is None or settings.limit >= len(planted):
        return planted, planted
    return planted, [planted[i] for i in sorted(rng.sample(range(len(planted)), settings.limit))]


def _time(bench: Bench) -> tuple[Bench, float]:
    """How long the original takes, which must pass."""
    start = time.perf_counter()
    bench.require_passed(300)
    return bench, time.perf_counter() - start


@dataclass(frozen=True, slots=True)
class _Judge:
    """Runs mutants in benches, the fastest first."""

    timed: Sequence[tuple[Bench, float]]
    sequential: bool
    known: Sequence[Explanation]

    def __call__(self, mutant: Mutant) -> Outcome:
        concerned = [(b, s) for b, s in self.timed if mutant.instance in ("", b.exercise.slug)]
        built = True
        for bench, seconds in concerned:
            verdict = bench.simulate(mutant, 10 + 10 * seconds)
            if verdict in ("failed", "hung"):
                return Outcome(mutant, "caught", f"{verdict} in {bench.exercise.slug}")
            built &= verdict != "not built"
        if not built:
            return Outcome(mutant, "not built", "")
        for entry in self.known:
            if entry.explains(mutant):
                return Outcome(mutant, "accepted", entry.why)
        for bench, _ in concerned:
            try:
                against = bench.prove(mutant, self.sequential)
            except VerifyError as error:
                against = f"{bench.exercise.slug}: {error}"
            if against:
                return Outcome(mutant, "survivor", against)
        return Outcome(mutant, "equivalent", "")


# --- the command ---------------------------------------------------------------------------------------------------

_ROW = "{:<18} {:>7} {:>7} {:>10} {:>8} {:>9} {:>9} {:>7} {:>8}  {}"


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {value}")
    return value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``lns mutate``."""
    parser.add_argument("design", metavar="DESIGN", help="a preset's name or a design file")
    add_units(parser, TARGETS, "all files that the design needs")
    parser.add_argument("--rtl", type=Path, metavar="DIR", help="your own Verilog: replaces files of the same names")
    parser.add_argument("--seed", type=natural, default=0, help="of stimuli and samples (default 0)")
    parser.add_argument("--limit", type=_positive, metavar="N", help="N mutants of each unit, a sample (default: all)")
    parser.add_argument("--jobs", type=natural, default=os.cpu_count() or 1, help="at once (default: one a core)")
    parser.add_argument("--json", action="store_true", help="print the scores as JSON")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the scores as JSON")


def run(args: argparse.Namespace) -> int:
    """Run ``lns mutate``: 0 if every score is high enough and every survivor explained, 1 if not, 2 if the design, a
    unit of it or a tool is missing."""
    settings = Settings(args.seed, args.limit, max(1, args.jobs), args.rtl)
    scores = []
    try:
        tool_environment("icarus")
        check_tools()
        if args.out is not None and not args.out.absolute().parent.is_dir():
            raise WrongInput(f"--out {args.out}: no such folder")
        if args.rtl is not None and not args.rtl.is_dir():
            raise WrongInput(f"--rtl {args.rtl}: no such folder")
        design = load(args.design)
        check_roms(design)
        chosen = {target: exercises(design, target) for target in args.unit or targets_of(design)}
        if not args.json:
            print(_ROW.format("unit", "mutants", "caught", "equivalent", "accepted", "survivors", "not built", "score",
                              "time", "result"))  # fmt: skip
        known = explanations()
        with tqdm(unit="mutant", disable=None, leave=False) as bar:
            for target, own in chosen.items():
                bar.set_description(target)
                scores.append(mutate(target, own, settings, known, lambda _: bar.update()))
                if not args.json:
                    bar.clear()
                    _show(scores[-1])
    except (DesignError, VerifyError) as error:
        return failed(error)
    report = {
        "design": design.name, "seed": args.seed, "limit": args.limit, "least_score": LEAST_SCORE,
        "passed": all(score.passed for score in scores), "units": [score.to_dict() for score in scores],
    }  # fmt: skip
    text = json.dumps(report, indent=2)
    if args.out is not None:
        with atomic_write(args.out) as file:
            file.write(f"{text}\n".encode())
    print(text if args.json else _summary(scores))
    return 0 if report["passed"] else 1


def _show(score: Score) -> None:
    verdicts = (score.count(name) for name in ("caught", "equivalent", "accepted", "survivor", "not built"))
    result = "passed" if score.passed else "FAILED"
    print(
        _ROW.format(score.target, score.mutants(), *verdicts, f"{score.score():.1%}", f"{score.seconds:.0f} s", result),
        flush=True,
    )
    for one in score.survivors:
        print(f"  {one.mutant}\n    {one.reason}")


def _summary(scores: Sequence[Score]) -> str:
    """All units together, and the score of each class."""
    lines = []
    for fault in FAULTS:
        counts = Counter({name: sum(s.count(name, fault) for s in scores) for name in ("caught", "equivalent")})
        total = sum(score.mutants(fault) for score in scores)
        if total:
            changing = total - counts["equivalent"]
            lines.append(
                f"{fault:<11} {total:>6} mutants, {counts['caught']} of {changing} that change something caught"
            )
    failed = [score.target for score in scores if not score.passed]
    lines.append(f"{len(scores)} units: " + (f"FAILED: {', '.join(failed)}" if failed else "all passed"))
    return "\n".join(lines)
