"""From one form of a data set to another, with the result read back and compared.

Two forms are lists of rows (`d4rl`, `npz`), two hold whole episodes (`minari`,
`vd4rl`).  What the target cannot hold of the source is told in a sentence each;
everything else is the same bits, or nothing is written.

The result appears only when it is complete and checked.  It says what it was made
of: the source's label, form and SHA-256.  A collected set stays a collected set; a
copy of an official file is yours, because it is not that file.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from shared.data.files.attributes import Attributes
from shared.data.files.folder import episode_files
from shared.data.files.minari_reader import read_minari
from shared.data.files.minari_writer import dataset_id, write_minari
from shared.data.files.robots.reader import read_pictures
from shared.data.files.source import FORMS, ROBOT, form_of, read_source
from shared.data.files.writers import arrays_of, fixed_strings, write_d4rl, write_npz
from shared.data.reader import examine
from shared.data.recording import whole
from shared.data.recording.columns import Columns
from shared.data.recording.ends import find_episodes
from shared.data.recording.units import PLAIN, RANGE_KEYS, Options
from shared.data.recording.whole import Episode
from shared.data.vd4rl.reader import read_vd4rl
from shared.data.vd4rl.rows import has_frames
from shared.data.vd4rl.writer import write_vd4rl
from shared.environments.tasks import Environment
from shared.errors import ConfigError, DataError
from shared.storage.in_place import CONVERTED, finished, require_free

TABLES = ("d4rl", "npz")
_SUFFIXES = {".hdf5": "d4rl", ".h5": "d4rl", ".npz": "npz"}
_LONGEST = 1 << 15
"""Of an attribute that is carried over; HDF5 stores no longer ones beside the data."""


class Converted(NamedTuple):
    """What was written: `steps` actions in `episodes`, and what was lost or strange."""

    path: Path
    form: str
    steps: int
    episodes: int
    notes: list[str]


class _Read(NamedTuple):
    """The source in one of two forms, and what is to be recorded of it."""

    rows: Columns | None
    episodes: list[Episode] | None
    environment: Environment | None
    source: str
    sha256: str
    attributes: Attributes
    notes: list[str]


def target_form(out: Path, form: str | None) -> str:
    """The form to write: the one that is asked for, or what the name's ending says.

    Raises:
        ConfigError: the name does not say it, or contradicts what is asked for.
    """
    told = _SUFFIXES.get(out.suffix)
    if form is None:
        if told is None:
            raise ConfigError(f"{out}: say which form to write with --to ({', '.join(FORMS)}).")
        return told
    if form in TABLES and told != form or form not in TABLES and told is not None:
        ending = {"d4rl": "a file ending in .hdf5", "npz": "a file ending in .npz"}
        raise ConfigError(f"{out}: --to {form} writes {ending.get(form, 'a folder')}; rename it.")
    return form


def convert(
    source: str | Path,
    out: str | Path,
    *,
    form: str | None = None,
    name: str | None = None,
    force: bool = False,
    options: Options = PLAIN,
) -> Converted:
    """Write the data of `source` in another form, and read it back.

    Arguments:
        source: a file or folder in any form that `form_of` tells apart.
        out: a new file or folder.
        form: one of `FORMS`; None takes it from the ending of `out`.
        name: data set or task that the source is; its horizon cuts rows without flags.
        force: replace a file, or a folder that was converted before.
        options: what the user says of the source; the result says it itself.

    Raises:
        DataError: the source is refused, the target exists or cannot hold any of it, or the
            disk refuses.
        ConfigError: an unclear form, or an unknown name.
    """
    source, out = Path(source), Path(out)
    form = target_form(out, form)
    require_free(out, source=source, force=force)
    read = _read(source, name, options, pictures=form not in TABLES)
    record = _record(source, read)
    with finished(out) as part:
        if form in TABLES:
            return _write_rows(part, out, form, read, record)
        return _write_episodes(part, out, form, read, record)


def _write_rows(part: Path, out: Path, form: str, read: _Read, record: Attributes) -> Converted:
    rows, notes = read.rows, list(read.notes)
    if rows is None:
        assert read.episodes is not None
        rows, more = whole.to_columns(read.episodes)
        notes += more
    if form == "d4rl":
        write_d4rl(part, arrays_of(rows), fixed_strings(record))
    else:
        write_npz(part, rows, record)
    found = read_source(part).columns
    _require_same(out, [rows], [] if found is None else [found])
    ends = rows.terminal if rows.timeout is None else rows.terminal | rows.timeout
    return Converted(out, form, len(rows.reward), int(ends.sum()), notes)


def _write_episodes(part: Path, out: Path, form: str, read: _Read, record: Attributes) -> Converted:
    episodes, notes = read.episodes, list(read.notes)
    if episodes is None:
        assert read.rows is not None
        episodes, more = whole.from_columns(read.rows, read.environment)
        notes += more
    if not episodes:
        raise DataError(f"{out}: no episode has a next observation; record longer episodes.")
    if form == "minari":
        write_minari(part, episodes, dataset_id(out), record)
        _require_same(out, episodes, read_minari(part).episodes)
    else:
        episodes, more = whole.with_plain_ends(episodes)
        notes += more
        write_vd4rl(part, episodes, record)
        # dm_control's motors clip, and so does the reader
        clipped = [x._replace(action=np.clip(x.action, -1, 1)) for x in episodes]
        if RANGE_KEYS[0] not in record and any(
            (a.action != b.action).any() for a, b in zip(episodes, clipped, strict=True)
        ):
            notes.append("actions beyond ±1 are stored as they are, and clipped when read.")
        back = read_vd4rl(part, options=Options((-1.0, 1.0))).frames  # as they are stored
        _require_same(out, clipped, whole.from_frames(back))
    (part / CONVERTED).write_text(json.dumps(record, indent=1) + "\n", "utf-8")
    return Converted(out, form, sum(len(x.reward) for x in episodes), len(episodes), notes)


def _read(source: Path, name: str | None, options: Options, *, pictures: bool) -> _Read:
    form = form_of(source)
    if form == "vd4rl":
        data = read_vd4rl(source, name=name, images=pictures, options=options)
        if data.frames.state is None and not pictures:
            raise DataError(f"{source}: holds no states, only pictures; use --to minari or vd4rl.")
        notes = list(data.warnings)
        if not pictures and has_frames(episode_files(source)[0]):
            notes.append("the pictures are left out, because the target holds states only.")
        episodes = whole.from_frames(data.frames)
        attributes = data.attributes
        if data.action_range is not None:
            notes.append("actions are scaled from their declared range to [-1, 1].")
            attributes = {k: v for k, v in attributes.items() if k not in RANGE_KEYS}
        about = (data.source, data.sha256, attributes, notes)
        return _Read(None, episodes, None, *about)
    if form == "minari" and pictures:
        found = read_minari(source)
        label = "collected" if found.attributes.get("source") == "collected" else "yours"
        about = (label, found.sha256, found.attributes, found.notes)
        return _Read(None, found.episodes, None, *about)
    file = examine(source, name=name, options=options)
    if file.columns is None:
        first = next(fault.sentence for fault in file.faults if fault.severity == "error")
        raise DataError(f"{source}: {first}")
    notes = [
        f"training would refuse this: {x.sentence}" if x.severity == "error" else x.sentence
        for x in file.faults
    ]
    attributes = dict(file.attributes)
    if file.action_range is not None:
        ends = zip(RANGE_KEYS, file.action_range, strict=True)
        attributes |= {key: x.tolist() for key, x in ends}
    about = (file.source, file.sha256, attributes, notes)
    if form == ROBOT and pictures and (frames := read_pictures(source)) is not None:
        episodes, more = _with_pictures(source, file.columns, file.environment, frames)
        return _Read(None, episodes, file.environment, *about[:3], [*notes, *more])
    return _Read(file.columns, None, file.environment, *about)


def _with_pictures(
    source: Path, columns: Columns, environment: Environment | None, frames: np.ndarray
) -> tuple[list[Episode], list[str]]:
    """Whole episodes with the frame of every state; a state that is repeated repeats its frame."""
    if len(frames) != len(columns.reward):
        raise DataError(f"{source}: has frames for other rows than are kept; leave out cut_jumps.")
    episodes, notes = whole.from_columns(columns, environment)
    starts = np.append(0, np.flatnonzero(find_episodes(columns, environment).last) + 1)
    found = []
    for episode, start, stop in zip(episodes, starts[:-1], starts[1:], strict=True):
        assert episode.state is not None
        place = np.minimum(start + np.arange(len(episode.state)), stop - 1)
        found.append(episode._replace(image=frames[place]))
    return found, notes


def _record(source: Path, read: _Read) -> Attributes:
    """What the result says of itself: all that the source said, and what it was made of."""
    kept = {k: v for k, v in read.attributes.items() if len(str(v)) <= _LONGEST}
    return kept | {
        "source": "collected" if read.source == "collected" else "yours",
        "generator": "latent-policies",
        "converted_from": source.resolve().name,
        "converted_from_form": form_of(source),
        "converted_from_source": read.source,
        "converted_from_sha256": read.sha256,
    }


def _require_same(
    out: Path, wrote: Sequence[Columns | Episode], found: Sequence[Columns | Episode]
) -> None:
    """Every array bit for bit; nothing else would notice a NaN."""
    if len(wrote) != len(found):
        raise DataError(
            f"{out}: {len(found)} of {len(wrote)} parts were read back; nothing is kept, check the "
            "disk and convert again."
        )
    for number, (mine, theirs) in enumerate(zip(wrote, found, strict=True)):
        for key, a, b in zip(mine._fields, mine, theirs, strict=True):
            if _bits(a) != _bits(b):
                raise DataError(
                    f"{out}: '{key}' of part {number} was not read back as it was written; "
                    "nothing is kept, check the disk and convert again."
                )


def _bits(x: np.ndarray | None) -> tuple | None:
    return None if x is None else (x.shape, x.dtype, x.tobytes())
