"""``lns train``, ``lns demo``, ``lns eval`` and ``lns export``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numba as nb

from lns.design import Design, load, preset_names
from sim.report import curves
from sim.train import data as datasets
from sim.train import imported
from sim.train.backend import BACKENDS
from sim.train.baselines import BASELINES
from sim.train.chip import Chip
from sim.train.export import TENSORS, export
from sim.train.loop import build, new_run, train
from sim.train.run import RunConfig, RunDirectory, RunError
from sim.train.trace import TraceRequest
from sim.verify.tools import tool_environment


def add_train(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "design", nargs="?", help="a preset, a design file (.toml), or a float baseline; --list names them"
    )
    parser.add_argument("--list", action="store_true", help="list designs, baselines and data sets")
    parser.add_argument("--data", default="digits", help="digits, fashion-mnist, or a folder of IDX files")
    parser.add_argument("--hidden", default="128", help="sizes of the hidden layers, as 256,128; 0 for none")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0, help="of initial weights, order of data, and random bits")
    parser.add_argument("--lr", type=float, help="learning rate, instead of the design's")
    parser.add_argument(
        "--lr-milestones", default="0.5,0.8", help="fractions of the epochs at which the rate falls ('' for never)"
    )
    parser.add_argument("--lr-divisors", default="4,16", help="by how much, from the start")
    parser.add_argument(
        "--validation", type=float, default=0.0, help="hold out this part of the training set and test on it"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", help="change a field of the design"
    )
    parser.add_argument("--checkpoint-every", type=int, default=0, metavar="STEPS", help="by default, every epoch")
    parser.add_argument("--out", type=Path, help="the run directory (default: runs/DESIGN-DATA-SEED)")
    parser.add_argument("--resume", type=Path, metavar="DIR", help="go on with a run; everything else is taken from it")
    parser.add_argument("--trace", type=Path, metavar="FILE", help="record what every unit saw and gave in one step")
    parser.add_argument("--trace-step", type=int, metavar="N", help="in which step (default: the first)")
    _add_machine(parser)


def _add_machine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=int, default=0, help="of the kernels (default: all); they change no bit")
    parser.add_argument("--backend", choices=list(BACKENDS), default="numba", help="they give the same bits")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def _set_threads(args: argparse.Namespace) -> None:
    most = nb.config.NUMBA_NUM_THREADS
    if not 0 <= args.threads <= most:
        raise RunError(f"--threads must be from 1 to {most} (0: all), got {args.threads}")
    if args.threads:
        nb.set_num_threads(args.threads)


def _numbers(text: str, kind: type, what: str) -> tuple[Any, ...]:
    try:
        return tuple(kind(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise RunError(f"{what}: numbers separated by commas are required, got {text!r}") from None


def changed_fields(changes: list[str]) -> dict[str, Any]:
    """The fields and values of ``--set FIELD=VALUE``."""
    values = {}
    for change in changes:
        path, equals, value = change.partition("=")
        if not equals:
            raise RunError(f"--set takes field=value, got {change!r}")
        try:
            values[path] = json.loads(value)
        except json.JSONDecodeError:
            values[path] = value
    return values


def resolve(name: str, changes: list[str]) -> tuple[str, Design | None]:
    """(learner, design) for a name of a preset, a file or a baseline, with ``field=value`` changes."""
    if name in BASELINES:
        if changes:
            raise RunError(f"{name} is a float baseline: it has no design to --set")
        return name, None
    return "chip", load(name).override(changed_fields(changes))


def _listing() -> dict[str, dict[str, str]]:
    return {
        "designs": {name: load(name).description for name in preset_names()},
        "baselines": {name: text for name, (_, text) in BASELINES.items()},
        "data": {name: text for name, (_, text) in datasets.DATASETS.items()},
    }  # fmt: skip


def _refuse_with_resume(args: argparse.Namespace) -> None:
    """A run's settings are its own: silently ignoring others would mislead."""
    parser = argparse.ArgumentParser()
    add_train(parser)
    free = {"resume", "threads", "backend", "quiet", "trace", "trace_step"}
    given = [
        name for name, value in vars(parser.parse_args([])).items() if name not in free and getattr(args, name) != value
    ]
    if given:
        raise RunError(f"--resume takes everything from {args.resume}: it cannot be given with {', '.join(given)}")


def run_train(args: argparse.Namespace) -> int:
    if args.list:
        listing = _listing()
        if args.json:
            print(json.dumps(listing, indent=2))
        else:
            for title, rows in listing.items():
                print(f"{title}:")
                print("".join(f"  {name:<16} {text}\n" for name, text in rows.items()))
        return 0
    _set_threads(args)
    if args.backend == "rtl":
        tool_environment("compiled")  # before there is a run folder
    trace = _trace(args)
    if args.resume is not None:
        _refuse_with_resume(args)
        run = RunDirectory(args.resume)
    elif args.design is None:
        raise RunError("a design is required, or --list, or --resume DIR")
    else:
        learner, design = resolve(args.design, args.set)
        hidden = tuple(n for n in _numbers(args.hidden, int, "--hidden") if n)
        milestones = _numbers(args.lr_milestones, float, "--lr-milestones")
        divisors = _numbers(args.lr_divisors, float, "--lr-divisors") if milestones else ()
        if args.lr is not None and not 0 < args.lr <= 1e6:
            raise RunError(f"--lr must be above 0 and at most 1e6, got {args.lr}")
        config = RunConfig(
            learner, args.data, hidden, args.epochs, args.batch, args.seed, args.lr or 0.0, milestones, divisors,
            args.validation, args.checkpoint_every,
        )  # fmt: skip
        name = design.name if design is not None else learner
        out = args.out or Path("runs") / f"{name}-{Path(args.data).name}-{args.seed}"
        run = new_run(out, config, design, trace)
    row = finish(run, args, trace)
    _print_result(run, row, args.json)
    return 0


def _trace(args: argparse.Namespace) -> TraceRequest | None:
    if args.trace is None:
        if args.trace_step is not None:
            raise RunError("--trace-step needs --trace FILE")
        return None
    return TraceRequest(args.trace, 1 if args.trace_step is None else args.trace_step)


def finish(run: RunDirectory, args: argparse.Namespace, trace: TraceRequest | None = None) -> dict[str, Any]:
    """Train to the end and draw the learning curve."""
    try:
        row = train(run, backend=args.backend, progress=not args.quiet, trace=trace)
    except KeyboardInterrupt:
        print(f"\nstopped; go on with: lns train --resume {run.path}", file=sys.stderr)
        raise
    design = run.design()
    name = design.name if design is not None else run.config().learner
    curves.plot({name: run.metrics()}, run.path / "curve.png", f"{run.config().data}, {name}")
    return row


def _print_result(run: RunDirectory, row: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps({"run": str(run.path)} | row, indent=2))
        return
    print(
        f"test accuracy {100 * row['test_accuracy']:.2f} %, training loss {row['train_loss']:.4f}, "
        f"after {row['epoch']} epochs"
    )
    for kind, counts in row["events"].items():
        if counts:
            print(f"  {kind:<11} " + ", ".join(f"{count} {event}" for event, count in counts.items()))
    print(f"run directory: {run.path}")


def add_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, default=Path("runs/demo"))
    parser.add_argument("--design", default="madam8")
    parser.add_argument("--epochs", type=int, default=40)
    _add_machine(parser)


def run_demo(args: argparse.Namespace) -> int:
    """Digits, 64-32-10, on a chip and with float32 Madam; a run that is there is finished or shown again."""
    _set_threads(args)
    chip = load(args.design)
    rows, runs = {}, {}
    for name, learner, design in ((chip.name, "chip", chip), ("float32-madam", "float32-madam", None)):
        out = args.out / name
        # float32 Madam at the chip's learning rate
        config = RunConfig(learner, "digits", (32,), args.epochs, 32, 0, chip.update.lr)
        run = RunDirectory(out) if (out / "config.toml").is_file() else new_run(out, config, design)
        if run.config() != config or run.design() != design:
            raise RunError(f"{out}: holds another run; remove it or give another --out")
        if not args.quiet:
            print(
                f"{name}: {design.description if design is not None else 'the same network in float32'}",
                file=sys.stderr,
            )
        rows[name], runs[name] = finish(run, args), run
    picture = args.out / "curve.png"
    curves.plot(
        {name: run.metrics() for name, run in runs.items()},
        picture,
        "digits, 64-32-10: bit-exact chip beside float32 Madam",
    )
    if args.json:
        print(json.dumps({name: {"run": str(runs[name].path)} | row for name, row in rows.items()}, indent=2))
        return 0
    for name, row in rows.items():
        print(f"\n{name}")
        _print_result(runs[name], row, False)
    print(f"\nlearning curves: {picture}")
    return 0


def add_eval(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="a run directory; or, with --weights, a design")
    parser.add_argument(
        "--weights", type=Path, help="float weights of a network trained elsewhere (.npz: weight1, bias1, weight2, …)"
    )
    parser.add_argument("--data", help="another data set than the run's; required with --weights")
    parser.add_argument("--backend", choices=list(BACKENDS), default="numba")


def run_eval(args: argparse.Namespace) -> int:
    if args.weights is not None:
        if args.data is None:
            raise RunError("--weights needs --data")
        design = resolve(args.run, [])[1]
        if design is None:
            raise RunError(f"{args.run}: imported weights run on a design, not on a float baseline")
        data = datasets.load(args.data)
        result = imported.evaluate(design, args.weights, data, args.backend)
    else:
        run = RunDirectory(Path(args.run))
        config = run.config()
        data = datasets.load(args.data or config.data)
        features = datasets.load(config.data).features
        if data.features != features:
            raise RunError(f"{run.path} has {features} inputs, {data.name} has {data.features}")
        learner = build(config, run.design(), data, args.backend)
        saved = run.load()
        if saved is None:
            raise RunError(f"{run.path}: no checkpoint yet")
        learner.load(saved[1])
        result = learner.evaluate(learner.encode_inputs(data.test_x, data.scale), data.test_y)
    row: dict[str, Any] = {
        "data": data.name,
        "samples": result.samples,
        "accuracy": result.correct / result.samples,
        "loss": result.loss / result.samples,
    }
    print(
        json.dumps(row, indent=2)
        if args.json
        else f"{data.name}: accuracy {100 * row['accuracy']:.2f} % of {row['samples']}, loss {row['loss']:.4f} nats"
    )
    return 0


def add_export(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="a run directory of a chip")
    parser.add_argument("--out", type=Path, required=True, help="folder for the $readmemh images")
    parser.add_argument("--tensor", action="append", choices=TENSORS, help="which (default: all)")


def run_export(args: argparse.Namespace) -> int:
    run = RunDirectory(args.run)
    config, saved = run.config(), run.load()
    if saved is None:
        raise RunError(f"{run.path}: no checkpoint yet")
    chip = build(config, run.design(), datasets.load(config.data))
    if not isinstance(chip, Chip):
        raise RunError(f"{run.path}: a float baseline has no words to export")
    chip.load(saved[1])
    rows = export(chip, args.out, args.tensor or list(TENSORS))
    if args.json:
        print(json.dumps(rows, indent=2))
    else:
        for row in rows:
            print(
                f"{row['file']}: {row['words']} words of {row['format']}, shape {row['shape']}, offset {row['offset']}"
            )
    return 0
