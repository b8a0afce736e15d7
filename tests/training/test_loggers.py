import csv
import importlib.util
import os
import struct
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import yaml
from tiny import tiny_plan

import shared
from shared.errors import ConfigError
from shared.runs.start import train_plan
from shared.training.loggers import LOGGERS, make_loggers, require_logger

ROOT = Path(shared.__file__).parents[1]  # where a child process finds the package


CONFIG = {"algorithm": "cnf", "seeds": [3, 7], "hyperparameters": {"discount": 0.97}}


def read_events(folder: Path):
    """Scalars (tag, step, value) and texts of a folder of event files.

    They hold records: length (8 bytes), its checksum (4), data, its checksum (4).
    """
    from tensorboardX.proto.event_pb2 import Event

    scalars, texts = [], {}
    for file in sorted(folder.glob("events.out.tfevents.*")):
        data = file.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            event = Event.FromString(data[12 : 12 + length])
            for value in event.summary.value:
                if value.HasField("tensor"):
                    texts[value.tag] = value.tensor.string_val[0].decode()
                else:
                    scalars.append((value.tag, event.step, value.simple_value))
            data = data[16 + length :]
    return scalars, texts


def test_tensorboard_has_a_series_a_seed_and_the_configuration(tmp_path):
    pytest.importorskip("tensorboardX")
    (logger,) = make_loggers(["tensorboard"], tmp_path, CONFIG)
    logger.log(10, 3, {"policy/loss": 0.5, "evaluation/score": 71.0})
    logger.log(10, 7, {"policy/loss": 0.75})
    logger.log(20, 3, {"policy/loss": 0.25})
    logger.close()
    scalars, texts = read_events(tmp_path / "tensorboard" / "seed3")
    expected = [("policy/loss", 10, 0.5), ("evaluation/score", 10, 71.0), ("policy/loss", 20, 0.25)]
    assert scalars == expected
    (told,) = texts.values()
    assert yaml.safe_load(textwrap.dedent(told)) == CONFIG
    scalars, texts = read_events(tmp_path / "tensorboard" / "seed7")
    assert scalars == [("policy/loss", 10, 0.75)] and list(texts.values()) == [told]


def test_a_run_shows_losses_and_scores_of_each_seed(hopper_random, tmp_path):
    pytest.importorskip("tensorboardX")
    plan = tiny_plan("bc", seeds=(0, 1), evaluate_every=6, episodes=2)
    run = train_plan(plan, hopper_random, tmp_path / "run", loggers=("tensorboard",))
    metrics, scores = (
        list(csv.DictReader((run / f"{table}.csv").read_text().splitlines()))
        for table in ("metrics", "scores")
    )
    for seed in ("0", "1"):
        scalars, texts = read_events(run / "tensorboard" / f"seed{seed}")
        shown = {(tag, step): value for tag, step, value in scalars}
        own = [row for row in metrics if row["seed"] == seed]
        assert len(own) >= 3
        for row in own:
            value = shown["policy/actor_loss", int(row["step"])]
            assert value == pytest.approx(float(row["actor_loss"]), rel=1e-6)
        for mode, suffix in (("deterministic", ""), ("sampled", "_sampled")):
            last = [r for r in scores if (r["step"], r["seed"], r["mode"]) == ("12", seed, mode)]
            assert len(last) == 2
            for value in ("return", "score"):
                mean = sum(float(r[value]) for r in last) / 2
                assert shown[f"evaluation/{value}{suffix}", 12] == pytest.approx(mean, rel=1e-6)
        assert "algorithm: bc" in next(iter(texts.values()))


WANDB = """
import sys
from pathlib import Path
from shared.training.loggers import LOGGERS, make_loggers, require_logger
config = {"algorithm": "cnf", "seeds": [3, 7], "hyperparameters": {"discount": 0.97}}
for step in (10, 5):  # the second time as a resumed run, a step back
    (logger,) = make_loggers(["wandb"], Path(sys.argv[1]), config)
    for seed in config["seeds"]:
        logger.log(step, seed, {"loss": 0.5 + seed})
    logger.close()
"""


@pytest.mark.skipif(importlib.util.find_spec("wandb") is None, reason="wandb is not installed")
def test_wandb_has_a_run_a_seed_in_one_group_that_goes_on(tmp_path):
    folder = tmp_path / "hopper"
    places = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"WANDB_MODE": "offline", "PYTHONPATH": os.pathsep.join(places)}
    child = subprocess.run(  # in a folder of its own: wandb leaves one where it is called
        [sys.executable, "-c", WANDB, str(folder)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
    )
    assert child.returncode == 0, child.stderr.decode()
    files = sorted((folder / "wandb").glob("offline-run-*/run-*.wandb"))
    ids = [(folder / "wandb" / f"seed{seed}.id").read_text() for seed in (3, 7)]
    assert sorted(file.stem.removeprefix("run-") for file in files) == sorted(2 * ids)
    for file in files:
        content = file.read_bytes()
        seed = 3 if ids[0] in file.stem else 7
        for text in ("global_step", "discount", "0.97", f"hopper/seed{seed}", f"{0.5 + seed}"):
            assert text.encode() in content
        assert f"hopper/seed{10 - seed}".encode() not in content


MISSING = """
import sys
from pathlib import Path
from shared.errors import ConfigError
from shared.training.loggers import LOGGERS, make_loggers, require_logger
sys.modules[sys.argv[2]] = None  # as Python marks what cannot be imported
try:
    make_loggers([sys.argv[1]], Path("."), {"seeds": [0]})
except ConfigError as error:
    print(error)
"""


@pytest.mark.parametrize(("name", "package"), [("tensorboard", "tensorboardX"), ("wandb", "wandb")])
def test_a_missing_package_is_named_with_its_extra(name, package):
    child = subprocess.run(
        [sys.executable, "-c", MISSING, name, package], cwd=ROOT, capture_output=True, text=True
    )
    assert child.stdout == (
        f"The logger '{name}' needs the package {package}; run "
        f"'pip install latent-policies[{name}]'.\n"
    )


def test_a_folder_of_that_name_is_no_package(tmp_path, monkeypatch):
    (tmp_path / "leftover").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(LOGGERS, "wandb", (LOGGERS["wandb"][0], "leftover"))
    with pytest.raises(ConfigError, match="needs the package leftover"):
        require_logger("wandb")


def test_an_unknown_logger_is_named_and_no_file_is_left_open(tmp_path):
    with pytest.raises(ConfigError, match="no logger 'tensorbord'; choose from tensorboard, wandb"):
        make_loggers(["tensorboard", "tensorbord"], tmp_path, CONFIG)
    assert make_loggers([], tmp_path, CONFIG) == []
