"""The command line: what users see, and what they are told when the input is wrong."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lns
from lns.files import read_memh
from sim import cli
from sim.report import show
from sim.train.data import FASHION_MNIST


def run(capsys, *arguments):
    """(exit code, stdout, stderr) of one command."""
    code = cli.main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "chip"
    arguments = ["train", "madam8", "--hidden", "12", "--epochs", "4", "--batch", "32", "--quiet", "--out", str(path)]
    assert cli.main(arguments) == 0
    return path


def test_train_leaves_a_run_with_a_picture(trained):
    assert (trained / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert lns.load(trained / "design.toml") == lns.load("madam8")


def test_train_reports_json(capsys, trained):
    code, out, _ = run(capsys, "train", "--resume", trained, "--json", "--quiet")
    row = json.loads(out)
    assert code == 0 and row["epoch"] == 4 and row["test_accuracy"] > 0.7 and row["events"]["weight"]


def test_train_list(capsys):
    code, out, _ = run(capsys, "train", "--list")
    assert code == 0 and all(name in out for name in [*lns.preset_names(), "float32-madam", "digits", "fashion-mnist"])
    listing = json.loads(run(capsys, "train", "--list", "--json")[1])
    assert set(listing["designs"]) == set(lns.preset_names())


def test_eval_of_a_run(capsys, trained):
    code, out, _ = run(capsys, "eval", trained, "--json")
    result = json.loads((trained / "result.json").read_text())
    assert code == 0 and json.loads(out)["accuracy"] == result["test_accuracy"]


def test_export_writes_the_words(capsys, trained, tmp_path):
    code, out, _ = run(capsys, "export", trained, "--out", tmp_path, "--tensor", "weight", "--json")
    rows = json.loads(out)
    assert code == 0 and [row["shape"] for row in rows] == [[12, 65], [10, 13]]
    with np.load(trained / "checkpoint.npz") as checkpoint:
        for number, row in enumerate(rows, 1):
            words = read_memh((tmp_path / row["file"]).read_text())
            assert np.array_equal(words.reshape(row["shape"]), checkpoint[f"state.weight{number}"])


def test_imported_float_weights(capsys, tmp_path):
    """A float network runs on 16-bit words with nearly its own accuracy, and on 8-bit words not far below."""
    path = tmp_path / "float"
    network = ["--hidden", "32", "--batch", "32", "--epochs", "30"]
    cli.main(["train", "float32-adam", *network, "--quiet", "--out", str(path)])
    with np.load(path / "checkpoint.npz") as checkpoint:
        arrays = {}
        for n in (1, 2):
            w = checkpoint[f"state.weight{n}"]
            arrays |= {f"weight{n}": w[:, :-1], f"bias{n}": w[:, -1]}
    np.savez(tmp_path / "weights.npz", **arrays)
    own = json.loads((path / "result.json").read_text())["test_accuracy"]
    capsys.readouterr()
    for design, loss in (("log16", 0.006), ("madam8", 0.03)):
        code, out, _ = run(capsys, "eval", design, "--weights", tmp_path / "weights.npz", "--data", "digits", "--json")
        assert code == 0 and json.loads(out)["accuracy"] > own - loss
    np.savez(tmp_path / "bad.npz", weight1=np.ones((3, 64)), weight2=np.ones((10, 4)))
    code, _, err = run(capsys, "eval", "madam8", "--weights", tmp_path / "bad.npz", "--data", "digits")
    assert code == 2 and "layer 2 needs weight2 (outputs, 3)" in err


@pytest.mark.parametrize("name", lns.preset_names())
def test_show_every_preset(capsys, name):
    design = lns.load(name)
    code, out, _ = run(capsys, "show", name)
    assert code == 0 and str(design.formats.weight) in out and "dB" in out
    described = json.loads(run(capsys, "show", name, "--json")[1])
    assert described["update"]["beta"] == design.update.beta
    assert lns.Design.from_toml(run(capsys, "show", name, "--toml")[1]) == design


def test_show_says_what_hardware_engineers_expect(capsys):
    out = run(capsys, "show", "madam8")[1]
    for text in ("94.8 dB", "antilog ROM 8 × 8 bits", "cannot overflow up to K = 1219", "beta 0.998985"):
        assert text in out


def test_show_puts_the_published_steps_beside_ours(capsys):
    for name, ours, published in (("bmadam12", 512, 693), ("bmadam10", 128, 173), ("bmadam8", 32, 43)):
        assert f"{ours} steps an octave (B-bit Madam as published: {published})" in run(capsys, "show", name)[1]


def test_safe_length_is_where_the_accumulator_overflows():
    described = show.describe(lns.load("madam8"))
    k = described["accumulator"]["products"]["forward"]["cannot_overflow_up_to_K"]
    units = lns.units.Units(lns.load("madam8"))
    fmt = lns.load("madam8").formats.activation
    unit = units.dot(fmt, fmt)
    full = np.full((1, k + 1), fmt.max_code, np.uint8)
    assert not lns.kernels.dot_linear(full[:, :k], full[:, :k].T, unit)[1].any()
    assert lns.kernels.dot_linear(full, full.T, unit)[1].all()


def test_table_prints_its_error_and_writes_roms(capsys, tmp_path):
    code, out, _ = run(capsys, "table", "coarse<2>", "4", "--out", tmp_path)
    assert code == 0 and re.search(r"sb: worst error [+-]\d\.\d+ codes", out)
    rom = lns.table(lns.TableKind.parse("coarse<2>"), 4).roms["db"]
    assert np.array_equal(read_memh((tmp_path / "db.mem").read_text()), rom)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "madam9"], "did you mean 'madam8'"),
        (["train", "nope", "--out", "x"], "neither a preset nor a design file"),
        (["train", "madam8", "--data", "nowhere", "--out", "x"], "neither a data set"),
        (["train", "madam8", "--set", "update.kapa=3", "--out", "x"], "did you mean 'kappa'"),
        (["train", "madam8", "--set", "formats.weight=lns<40,3>", "--out", "x"], "between 2 and 32, got 40"),
        (["train", "madam8", "--set", "update.kappa", "--out", "x"], "field=value"),
        (["train", "madam8", "--hidden", "a", "--out", "x"], "--hidden"),
        (["train", "madam8", "--epochs", "0", "--out", "x"], "epochs must be"),
        (["train", "float32-sgd", "--set", "update.lr=1", "--out", "x"], "no design"),
        (["train"], "a design is required"),
        (["train", "madam8", "--resume", "x"], "it cannot be given with design"),
        (["train", "--resume", "x", "--epochs", "9", "--lr", "1"], "it cannot be given with epochs, lr"),
        (["train", "madam8", "--lr", "0", "--out", "x"], "--lr must be above 0"),
        (["train", "madam8", "--threads", "99", "--out", "x"], "--threads must be from 1"),
        (["train", "--resume", "nothing-here"], "no run here"),
        (["eval", "nothing-here"], "no run here"),
        (["table", "fine", "3"], "a table is written"),
        (["table", "full", "30"], "0 to 24"),
    ],
)
def test_wrong_input_is_one_clear_line_and_exit_code_2(capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *arguments)
    assert code == 2 and out == "" and message in err and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_demo(capsys, tmp_path):
    code, out, _ = run(capsys, "demo", "--epochs", "2", "--out", tmp_path / "demo", "--quiet")
    assert code == 0 and "float32-madam" in out and (tmp_path / "demo" / "curve.png").is_file()
    again = run(capsys, "demo", "--epochs", "2", "--out", tmp_path / "demo", "--quiet")
    assert again[:2] == (0, out)
    assert run(capsys, "demo", "--epochs", "3", "--out", tmp_path / "demo", "--quiet")[0] == 2


def test_the_run_records_the_learning_rate_it_used(trained):
    assert "lr = 0.03" in (trained / "config.toml").read_text()


def test_eval_on_data_of_another_shape(capsys, trained, tmp_path):
    if not FASHION_MNIST.is_dir():
        pytest.skip("apt install dataset-fashion-mnist")
    code, _, err = run(capsys, "eval", trained, "--data", "fashion-mnist")
    assert code == 2 and "has 64 inputs, fashion-mnist has 784" in err


def test_the_python_of_the_readme_runs():
    text = (Path(__file__).parent.parent / "README.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert blocks
    for block in blocks:
        subprocess.run([sys.executable, "-c", block], check=True)


def test_a_reader_that_has_seen_enough_is_no_error():
    command = f"{sys.executable} -m sim.cli show madam8 | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == ""


def test_a_full_disk_under_the_output_is_said():
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m sim.cli show madam8 > /dev/full"], capture_output=True, text=True
    )
    assert done.returncode == 2 and done.stderr == "lns: error: No space left on device\n"
