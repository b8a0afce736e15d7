"""A launcher by its name."""

from pathlib import Path
from typing import Any

from shared.errors import ConfigError
from shared.studies.folder import LOGS
from shared.studies.launchers.local import LocalWorkers
from shared.studies.launchers.workers import AbstractWorkers


def make_workers(
    launcher: str, count: int | None, out: Path, resources: dict[str, Any]
) -> AbstractWorkers:
    """The workers of a study; none is started before the first job.

    Arguments:
        launcher: `local`, `ray` or `slurm`.
        count: runs at a time.
        out: folder of the study.
        resources: of a worker, as Ray or submitit name them.

    Raises:
        ConfigError: a launcher whose package is not installed, or resources that it has not.
    """
    if launcher == "local":
        if resources:
            raise ConfigError(f"--resources {min(resources)}: only 'ray' and 'slurm' take them.")
        return LocalWorkers(count, out / LOGS)
    if launcher == "ray":
        from shared.studies.launchers.on_ray import RayWorkers

        return RayWorkers(count, resources)
    if launcher == "slurm":
        from shared.studies.launchers.slurm import SlurmWorkers

        return SlurmWorkers(count, out / LOGS, resources)
    raise ConfigError(f"launcher '{launcher}' does not exist; choose local, ray or slurm.")
