"""Optional mirrors of metrics and scores; the run folder's own tables are the record.

Each seed is a series of its own under the same names, so that a mirror can show seeds on top
of each other or average them.
"""

import importlib
import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import yaml

from shared.errors import ConfigError


@runtime_checkable
class Logger(Protocol):
    """What the training loop knows of a mirror."""

    def log(self, step: int, seed: int, values: Mapping[str, float]) -> None:
        """Show the values of one seed at a global step."""
        ...

    def close(self) -> None:
        """Send what is left."""
        ...


class TensorBoardLogger:
    """Event files in `<run>/tensorboard/seed<N>`, each with the configuration as a text."""

    def __init__(self, folder: Path, config: Mapping[str, Any]):
        from tensorboardX import SummaryWriter

        text = "".join(f"    {line}\n" for line in yaml.safe_dump(dict(config)).splitlines())
        self._writers = {}
        for seed in config["seeds"]:
            self._writers[seed] = SummaryWriter(str(folder / "tensorboard" / f"seed{seed}"))
            self._writers[seed].add_text("config", text)

    def log(self, step: int, seed: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writers[seed].add_scalar(name, float(value), step)

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()


class WandbLogger:
    """A Weights & Biases run a seed, in a group of the folder's name, with the configuration.

    The project is that of WANDB_PROJECT, or latent-policies; `WANDB_MODE=offline` keeps all local.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any]):
        self._folder, self._config = folder.absolute(), dict(config)
        (self._folder / "wandb").mkdir(parents=True, exist_ok=True)
        self._runs = {seed: self._begin(seed) for seed in config["seeds"]}

    def _begin(self, seed: int):
        import wandb

        begun = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "latent-policies"),
            group=self._folder.name,
            name=f"{self._folder.name}/seed{seed}",
            config=self._config | {"seed": seed},
            dir=str(self._folder),
            id=self._id_of(seed),
            resume="allow",
            reinit="create_new",
        )
        # The step as a metric of its own: W&B's built-in one refuses to go back on a resume.
        begun.define_metric("*", step_metric="global_step")
        return begun

    def _id_of(self, seed: int) -> str:
        """Kept in the folder, so that a resumed run goes on with its series."""
        file = self._folder / "wandb" / f"seed{seed}.id"
        if not file.exists():
            file.write_text(secrets.token_hex(4), encoding="utf-8")
        return file.read_text(encoding="utf-8")

    def log(self, step: int, seed: int, values: Mapping[str, float]) -> None:
        numbers = {name: float(value) for name, value in values.items()}
        self._runs[seed].log(numbers | {"global_step": step})

    def close(self) -> None:
        for begun in self._runs.values():
            begun.finish()


# name: (class, package to import)
LOGGERS = {"tensorboard": (TensorBoardLogger, "tensorboardX"), "wandb": (WandbLogger, "wandb")}


def make_loggers(names: Iterable[str], folder: Path, config: Mapping[str, Any]) -> list[Logger]:
    """The mirrors of these names, in order.

    Args:
        names: any of `tensorboard` and `wandb`.
        folder: the run folder.
        config: what `config.yaml` of that folder holds; names the `seeds`.

    Raises:
        ConfigError: an unknown name, or the package of a mirror is not installed.
    """
    made: list[Logger] = []
    try:
        for name in names:
            made.append(_make(name, Path(folder), config))
    except BaseException:
        for logger in made:
            logger.close()
        raise
    return made


def require_logger(name: str) -> None:
    """Check that a mirror can be made, before minutes go into data.

    Raises:
        ConfigError: an unknown name, or its package is not installed.
    """
    if name not in LOGGERS:
        raise ConfigError(f"There is no logger {name!r}; choose from {', '.join(LOGGERS)}.")
    _, package = LOGGERS[name]
    try:
        module = importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        module = None
    # Any folder of that name, such as the one wandb leaves behind, is a module without a file.
    if module is None or module.__file__ is None:
        raise ConfigError(
            f"The logger {name!r} needs the package {package}; run "
            f"'pip install latent-policies[{name}]'."
        )


def _make(name: str, folder: Path, config: Mapping[str, Any]) -> Logger:
    require_logger(name)
    logger, _ = LOGGERS[name]
    return logger(folder, config)
