"""Optional mirrors of metrics and scores; the run folder's own tables are the record."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

from shared.errors import ConfigError


@runtime_checkable
class Logger(Protocol):
    """What the training loop knows of a mirror."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Show the values of one global step."""
        ...

    def close(self) -> None:
        """Send what is left."""
        ...


class TensorBoardLogger:
    """Event files in `<run>/tensorboard`."""

    def __init__(self, folder: Path):
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(folder / "tensorboard"))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, float(value), step)

    def close(self) -> None:
        self._writer.close()


class WandbLogger:
    """A Weights & Biases run with the folder's name; `WANDB_MODE=offline` keeps it local."""

    def __init__(self, folder: Path):
        import wandb

        folder = folder.absolute()
        (folder / "wandb").mkdir(parents=True, exist_ok=True)
        project = os.environ.get("WANDB_PROJECT", "latent-policies")
        self._run = wandb.init(project=project, name=folder.name, dir=str(folder))
        # The step as a metric of its own: W&B's built-in one refuses to go back on a resume.
        self._run.define_metric("*", step_metric="global_step")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log({**{name: float(v) for name, v in values.items()}, "global_step": step})

    def close(self) -> None:
        self._run.finish()


# name: (class, package to import)
LOGGERS = {"tensorboard": (TensorBoardLogger, "tensorboardX"), "wandb": (WandbLogger, "wandb")}


def make_loggers(names: Iterable[str], folder: Path) -> list[Logger]:
    """The mirrors of these names, in order.

    Args:
        names: any of `tensorboard` and `wandb`.
        folder: the run folder.

    Raises:
        ConfigError: an unknown name, or the package of a mirror is not installed.
    """
    made: list[Logger] = []
    try:
        for name in names:
            made.append(_make(name, Path(folder)))
    except BaseException:
        for logger in made:
            logger.close()
        raise
    return made


def _make(name: str, folder: Path) -> Logger:
    if name not in LOGGERS:
        raise ConfigError(f"There is no logger {name!r}; choose from {', '.join(LOGGERS)}.")
    logger, package = LOGGERS[name]
    try:
        return logger(folder)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise ConfigError(
            f"The logger {name!r} needs the package {package}; run "
            f"'pip install latent-policies[{name}]'."
        ) from None
