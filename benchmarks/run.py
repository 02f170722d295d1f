"""All benchmarks of speed, each in a process of its own: JSON, a table and a plot of each under runs/bench.

python benchmarks/run.py [products bound elementwise sizes step sweep] [--quick]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from benchmarks.plots import draw

#: name -> arguments of its runs, by the name of the result
RUNS: dict[str, dict[str, list[str]]] = {
    "products": {"products": []},
    "bound": {"bound": ["--show"]},
    "elementwise": {"elementwise": []},
    "sizes": {"sizes": []},
    "step": {"step": [], "step-2-threads": ["--threads", "2"]},
    "sweep": {"sweep": []},
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="name", help="default: all")
    parser.add_argument("--rounds", type=int, help="of each benchmark instead of its own number")
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that it runs, measures nothing")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    args = parser.parse_args()
    if unknown := set(args.names) - set(RUNS):
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}; there are {', '.join(RUNS)}")
    args.out.mkdir(parents=True, exist_ok=True)
    common = ["--quick"] * args.quick + (["--rounds", str(args.rounds)] if args.rounds else [])
    status = 0
    for name in args.names or RUNS:
        for result, arguments in RUNS[name].items():
            path = args.out / result
            command = [sys.executable, "-m", f"benchmarks.{name}", *arguments, *common]
            print(f"\n## {' '.join(command[1:])}\n", flush=True)
            done = subprocess.run([*command, "--json", f"{path}.json"], stdout=subprocess.PIPE, text=True)
            if done.returncode:
                status = done.returncode
                continue
            print(done.stdout, flush=True)
            Path(f"{path}.md").write_text(done.stdout)
            draw(name, json.loads(Path(f"{path}.json").read_text())["rows"], Path(f"{path}.png"))
    print(f"JSON, tables and plots: {args.out}")
    return status


if __name__ == "__main__":
    sys.exit(main())
