"""A picture of what a V-D4RL folder shows: some episodes, some moments of each."""

import json
import textwrap
from pathlib import Path

import numpy as np

from shared.data.files.folder import episode_files
from shared.data.vd4rl.folder import name_of, read_record
from shared.data.vd4rl.rows import read_frames, read_rows

EPISODES, MOMENTS = 8, 12


def draw_contact_sheet(path: Path, target: Path) -> None:
    """Write a PNG: one line an episode (evenly spread over the files), time to the right.

    Arguments:
        path: a folder of V-D4RL episodes, or one file.
        target: the PNG to write.

    Raises:
        DataError: the folder or one of the shown files is refused.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    files = episode_files(path)
    picks = files[:: max(1, len(files) // EPISODES)][:EPISODES]
    figure, axes = plt.subplots(
        len(picks), 1, figsize=(11, 0.98 * len(picks) + 0.7), layout="constrained", squeeze=False
    )
    for axis, file in zip(axes[:, 0], picks, strict=True):
        strip, label = _strip(file)
        axis.imshow(strip, interpolation="nearest")
        axis.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=8)
        axis.set_xticks([])
        axis.set_yticks([])
        axis.spines[:].set_visible(False)
    record = read_record(path if path.is_dir() else path.parent)
    title = str(record.get("dataset", name_of(path)))
    if record:
        drawn = json.loads(record["render"])["name"]
        title += f": {record['frames']:,} frames of {record['size']} px, drawn {drawn}; "
        title += "collected by this project, not V-D4RL"
    figure.suptitle(textwrap.fill(title, 110), fontsize=10, x=0.01, ha="left")
    axes[-1, 0].set_xlabel("time, from the first frame of the episode to its last", fontsize=8)
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=110)
    plt.close(figure)


def _strip(file: Path) -> tuple[np.ndarray, str]:
    """Moments of a file's first episode side by side, and its name with the return."""
    rows = read_rows(file, None)
    starts = np.flatnonzero(rows.is_first)
    end = int(starts[1]) if len(starts) > 1 else len(rows.reward)
    frames = read_frames(file, len(rows.reward))
    moments = np.linspace(0, end - 1, MOMENTS).round().astype(int)
    gap = np.full((frames.shape[1], 2, 3), 255, np.uint8)
    parts = [x for i in moments for x in (frames[i], gap)]
    return np.concatenate(parts[:-1], axis=1), f"{file.stem}\nreturn {rows.reward[1:end].sum():.0f}"
