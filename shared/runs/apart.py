"""Members of a sweep that no one program can hold: one after another, in folders of their own."""

from collections.abc import Callable, Mapping
from pathlib import Path

from shared.errors import Interrupted, UserError
from shared.record.run_folder import RunFolder
from shared.runs import longer
from shared.runs.carry_out import LoadData, carry_on
from shared.training.progress import Progress


def finish(path: Path, load: LoadData, steps: int | None, progress: Progress) -> None:
    """The rest of one member of a sweep whose members are trained apart, if there is any."""
    with RunFolder.open(path, write=True) as run:
        wanted = steps or longer.planned(run)
        if run.record["status"] == "finished" and wanted == longer.planned(run):
            return
        if steps is not None:
            longer.check(run, steps)
        carry_on(run, load, progress, wanted)


def one_after_another(members: Mapping[Path, Callable[[], None]], progress: Progress) -> None:
    """Train every member; one that fails does not keep the others from it.

    Raises:
        UserError: of the kind of the first failure, once all were tried; it names all of them.
    """
    failed: dict[str, UserError] = {}
    for path, train in members.items():
        try:
            train()
        except Interrupted:
            raise
        except UserError as error:
            progress.tell(f"{path.name}: {error}")
            failed[path.name] = error
    if failed:
        told = "; ".join(f"{name}: {str(error).rstrip('.')}" for name, error in failed.items())
        kind = type(next(iter(failed.values())))
        raise kind(f"{len(failed)} of the {len(members)} members of the sweep failed ({told}).")
