"""What a study asks: algorithms on data sets, over seeds; the content of `configs/studies/*.yaml`.

    title, question    what it is about, in words
    data               data sets by name or pattern, or files: {label, name, file}
    algorithms         a row each, labelled with the name; of both families
    rows, controls     label -> algorithm, or {algorithm, preset, seeds, observation, set, sweep,
                       model_from, features_from}
    seeds, preset, source, observation, set    of every row that does not say otherwise
    report             notes, claims (`shared/comparison/claims.py`), mode, axis of the curves
    values             named values for YAML's own anchors (`&`, `*`, `<<`); read by nobody

`set` holds hyperparameters and run settings, as `--set` takes them; what a row sets comes on top.
A row with `model_from: ROW` takes over the frozen model or encoder of that row on the same data,
one with `features_from: ROW` learns on the states of its frozen world model, one with `sweep` is a
run for every value.  Of several presets a row is made for each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared.loading.request import DataRequest
from shared.runs import members


@dataclass(frozen=True)
class DataSet:
    """One data set of a study.

    Attributes:
        label: in tables, and on the command line.
        name: that picks values and simulator; None for a file that has none.
        source: `d4rl`, `collected` or None, as of `DataRequest`.
        file: of the user's own.
        sha256: of that file; it, not the path, tells one file from another.
    """

    label: str
    name: str | None
    source: str | None = None
    file: Path | None = None
    sha256: str | None = None

    def request(self, observation: str | None, data_dir: Path | None) -> DataRequest:
        """The same as training asks for it."""
        if self.sha256 and self.file and not self.file.exists():
            # Looked at where the data are gone: a single file, so hardly one of frames.
            observation = observation or "state"
        return DataRequest(self.name, self.file, self.source, data_dir, observation)


@dataclass(frozen=True)
class Row:
    """One line of the tables: an algorithm with its settings; fields as in the file."""

    label: str
    family: str
    algorithm: str
    preset: str
    seeds: tuple[int, ...]
    observation: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    sweep: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    model_from: str | None = None
    features_from: str | None = None
    is_control: bool = False

    @property
    def names(self) -> list[str]:
        """Labels of its lines in the tables: of a sweep, one a value."""
        if not self.sweep:
            return [self.label]
        return [f"{self.label}, {name}" for name in members.names(self.sweep)]

    @property
    def after(self) -> str | None:
        """Label of the row whose model it needs."""
        return self.model_from or self.features_from


@dataclass(frozen=True)
class Reporting:
    """What is told of a study besides its tables; fields as in the file."""

    notes: tuple[str, ...] = ()
    claims: tuple[tuple[str, str], ...] = ()
    mode: str = "both"
    axis: str = "updates"


@dataclass(frozen=True)
class Study:
    """A whole study; `document` is what its file says, to be frozen with it."""

    name: str
    title: str
    question: str
    data: tuple[DataSet, ...]
    rows: tuple[Row, ...]
    report: Reporting
    document: Mapping[str, Any] = field(repr=False)
