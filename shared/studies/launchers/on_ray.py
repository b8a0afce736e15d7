"""Workers that are actors of a Ray cluster (extra `ray`)."""

import logging
import warnings
from typing import Any

from shared.errors import ConfigError
from shared.studies.jobs import Job, to_plain
from shared.studies.launchers.local import cores, one_thread
from shared.studies.launchers.workers import AbstractWorkers, Ended
from shared.studies.work import Outcome


class Worker:
    """What runs in a process of the cluster."""

    def work(self, values: dict[str, Any]) -> dict[str, Any]:
        """One job, as `shared.studies.work.work` does it."""
        from shared.studies.work import work

        return work(values).to_dict()


class RayWorkers(AbstractWorkers):
    """Actors, each a process of its own, made when their slot gets its first job or its last died.

    The cluster is that of `RAY_ADDRESS`; without one it is started on this machine.

    Arguments:
        count: how many; default: as many as the cluster has room for.
        resources: of each, as `ray.remote` names them, e.g. `num_gpus`.

    Raises:
        ConfigError: Ray is not installed.
    """

    def __init__(self, count: int | None, resources: dict[str, Any]):
        try:
            import ray
        except ImportError:
            raise ConfigError(
                "--launcher ray needs the package ray; install 'latent-policies[ray]'."
            ) from None
        self._ray, self._asked = ray, {"num_cpus": 1} | resources
        self._begun = False
        self.count = count or cores()
        self._actors: dict[int, Any] = {}
        self._at: dict[Any, int] = {}

    def submit(self, slot: int, job: Job) -> None:
        if not self._begun:
            self._begin()
        if slot not in self._actors:
            environment = {"env_vars": one_thread()}
            remote = self._ray.remote(Worker)
            self._actors[slot] = remote.options(runtime_env=environment, **self._asked).remote()
        self._at[self._actors[slot].work.remote(to_plain(job.request))] = slot

    def wait(self) -> list[Ended]:
        done, _ = self._ray.wait(list(self._at), num_returns=1)
        return [self._ended(reference, self._at.pop(reference)) for reference in done]

    def close(self, *, interrupt: bool = False) -> None:
        for actor in self._actors.values():
            self._ray.kill(actor)
        self._actors.clear()
        self._at.clear()
        if self._begun:
            self._ray.shutdown()
            self._begun = False

    def _begin(self) -> None:
        """Join the cluster, or start one."""
        with warnings.catch_warnings():
            # Ray forks to start its own programs at once, which JAX takes for a danger.
            warnings.filterwarnings("ignore", r"os\.fork\(\) was called")
            quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
            self._ray.init(ignore_reinit_error=True, include_dashboard=False, **quiet)
        self._begun = True

    def _ended(self, reference: Any, slot: int) -> Ended:
        try:
            return Ended(slot, Outcome(**self._ray.get(reference)))
        except self._ray.exceptions.RayActorError:
            del self._actors[slot]
            return Ended(slot, None, "its Ray worker died")
