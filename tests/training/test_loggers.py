import importlib.util
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

import shared
from shared.errors import ConfigError
from shared.training.loggers import make_loggers

ROOT = Path(shared.__file__).parents[1]  # where a child process finds the package


def read_scalars(folder: Path) -> list[tuple[str, int, float]]:
    """Event files hold records: length (8 bytes), its checksum (4), data, its checksum (4)."""
    from tensorboardX.proto.event_pb2 import Event

    scalars = []
    for file in sorted(folder.glob("events.out.tfevents.*")):
        data = file.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            event = Event.FromString(data[12 : 12 + length])
            scalars += [(v.tag, event.step, v.simple_value) for v in event.summary.value]
            data = data[16 + length :]
    return scalars


def test_tensorboard_events_read_back(tmp_path):
    pytest.importorskip("tensorboardX")
    (logger,) = make_loggers(["tensorboard"], tmp_path)
    logger.log(10, {"policy/seed0/loss": 0.5, "evaluation/score": 71.0})
    logger.log(20, {"policy/seed0/loss": 0.25})
    logger.close()
    assert read_scalars(tmp_path / "tensorboard") == [
        ("policy/seed0/loss", 10, 0.5),
        ("evaluation/score", 10, 71.0),
        ("policy/seed0/loss", 20, 0.25),
    ]


WANDB = """
import sys
from pathlib import Path
from shared.training.loggers import make_loggers
(logger,) = make_loggers(["wandb"], Path(sys.argv[1]))
logger.log(10, {"loss": 0.5})
logger.log(5, {"loss": 0.25})
logger.close()
"""


@pytest.mark.skipif(importlib.util.find_spec("wandb") is None, reason="wandb is not installed")
def test_wandb_writes_an_offline_run(tmp_path):
    environment = {**os.environ, "WANDB_MODE": "offline"}
    child = subprocess.run(
        [sys.executable, "-c", WANDB, str(tmp_path)], cwd=ROOT, env=environment, capture_output=True
    )
    assert child.returncode == 0, child.stderr.decode()
    (file,) = (tmp_path / "wandb").glob("offline-run-*/run-*.wandb")
    assert b"global_step" in file.read_bytes()


MISSING = """
import sys
from pathlib import Path
from shared.errors import ConfigError
from shared.training.loggers import make_loggers
sys.modules[sys.argv[2]] = None  # as Python marks what cannot be imported
try:
    make_loggers([sys.argv[1]], Path("."))
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


def test_an_unknown_logger_is_named_and_no_file_is_left_open(tmp_path):
    with pytest.raises(ConfigError, match="no logger 'tensorbord'; choose from tensorboard, wandb"):
        make_loggers(["tensorboard", "tensorbord"], tmp_path)
    assert make_loggers([], tmp_path) == []
