"""Policies to choose among: every seed of every run, and the data that they were trained on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.datasets.row_data import RowData
from shared.errors import RunError
from shared.loading.request import DataRequest
from shared.runs.carry_out import load_again
from shared.runs.trained import load_state
from shared.training.seeds import of_seed


@dataclass(frozen=True)
class Candidate:
    """One policy.

    Attributes:
        label: of the run; with the seed, if it has several.
        run: its folder.
        seed: which of the run's seeds.
        algorithm: with its hyperparameters.
        state: of this seed.
        record: what `run.json` says of the run.
        held_out: share of the episodes that its training never saw.
    """

    label: str
    run: Path
    seed: int
    algorithm: Any
    state: Any
    record: dict[str, Any]
    held_out: float


def candidates_of(path: Path) -> list[Candidate]:
    """Every seed of a run's last checkpoint."""
    plan, record, algorithm, state, _ = load_state(path)
    found = []
    for i, seed in enumerate(plan.seeds):
        label = record.get("label") or plan.algorithm
        label = f"{label}, seed {seed}" if len(plan.seeds) > 1 else label
        one = of_seed(state, i)
        share = plan.settings.held_out_episodes
        found.append(Candidate(label, path, seed, algorithm, one, record, share))
    return found


def data_of(candidates: Sequence[Candidate], file: Path | None = None) -> RowData:
    """The data that all of them were trained on; `file` says where they are now.

    Raises:
        RunError: they were not trained on the same data, or these are pictures.
    """
    first = candidates[0]
    for other in candidates[1:]:
        if other.record["data"]["sha256"] != first.record["data"]["sha256"]:
            raise RunError(
                f"{other.run}: was trained on other data than {first.run}; choose among runs of "
                "the same data."
            )
    if first.record.get("pixels") is not None:
        raise RunError(f"{first.run}: sees pictures; choose among policies that see states.")
    record = first.record
    data = load_again(first.run, record, lambda r: DataRequest.of_record(r, file).load())
    assert isinstance(data, RowData)
    return data
