"""Shows what a data file holds: tables for the terminal and a histogram of returns."""

import textwrap
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from shared.data.reader import Examined
from shared.data.recording.columns import Columns
from shared.data.recording.ends import Episodes, find_episodes
from shared.datasets.frame_data import FrameData
from shared.datasets.frame_store import estimate
from shared.environments.scores import normalized_score
from shared.errors import printable
from shared.storage.sizes import bytes_of

_QUANTILES = (("minimum", 0.0), ("10 %", 0.1), ("median", 0.5), ("90 %", 0.9), ("maximum", 1.0))
COLUMNS = 40
"""Of a wide observation, so many are listed one by one."""
_SOURCES = {
    "official": "official D4RL file",
    "collected": "collected by this project, not D4RL",
    "yours": "your own file",
}


def print_report(file: Examined, console: Console) -> None:
    """Print everything about an examined file."""
    console.print(_about(file))
    if file.columns is not None:
        episodes = find_episodes(file.columns, file.environment)
        console.print(f"[bold]{_counts(file.columns, episodes)}[/]")
        console.print(_episode_table(file, episodes))
        console.print(_value_table(file.columns))
    for severity in ("error", "warning"):
        for fault in file.faults:
            if fault.severity == severity:
                colour = "red" if severity == "error" else "yellow"
                console.print(f"[{colour}]{severity}[/] ", end="")
                console.print(fault.sentence, markup=False, highlight=False, soft_wrap=True)
    if not file.faults:
        console.print("[green]no faults found[/]")


def print_frames(data: FrameData, console: Console) -> None:
    """Print everything about frames that were read from a V-D4RL folder."""
    frames, about = data.frames, _pairs()
    for key, value in {
        "folder": str(data.path),
        "data set": data.name,
        "source": _SOURCES[data.source].replace("D4RL", "V-D4RL"),
        "task": data.environment or "not known",
        "sha256": data.sha256,
        "frames": f"{len(frames.reward):,} of {' x '.join(map(str, frames.image.shape[1:]))}"
        if frames.image is not None
        else "none",
        "memory": "none" if frames.image is None else estimate(frames.image.nbytes),
        "states": "none" if frames.state is None else f"{frames.state.shape[1]} values a frame",
        **{f"record {printable(k)}": printable(str(v), 300) for k, v in data.attributes.items()},
    }.items():
        about.add_row(key, value)
    console.print(about)
    lengths = frames.episode_lengths
    console.print(f"[bold]{len(lengths):,} episodes, {int(frames.terminal.sum()):,} terminals[/]")
    table = Table("per episode", "return", "actions")
    for label, q in _QUANTILES:
        measures = (frames.episode_returns, lengths)
        table.add_row(label, *(f"{np.quantile(x, q):,.1f}" for x in measures))
    console.print(table)
    for warning in data.warnings:
        console.print(f"[yellow]warning[/] {warning}")


def _pairs() -> Table:
    """A name and a value a row; neither is cut off on a narrow terminal."""
    table = Table(show_header=False)
    table.add_column(style="cyan", overflow="fold")
    table.add_column(overflow="fold", min_width=16)
    return table


def _about(file: Examined) -> Table:
    table = _pairs()
    rows = {
        "file": str(file.path),
        "data set": file.name,
        "source": _source_of(file),
        "task": file.environment.name if file.environment else "not known",
        "size": f"{bytes_of(file.path):,} bytes",
        "sha256": file.sha256,
        "keys": ", ".join(printable(key) for key in file.keys),
    }
    if file.columns is not None:
        rows["rows"] = f"{len(file.columns.reward):,}"
    if file.action_range is not None:
        ends = zip(*file.action_range, strict=True)
        rows["action range"] = ", ".join(f"{low:g} to {high:g}" for low, high in ends)
    for name, value in file.attributes.items():
        rows[f"attribute {printable(name)}"] = printable(str(value), 300)
    for key, value in rows.items():
        table.add_row(key, value)
    return table


def _source_of(file: Examined) -> str:
    of_ogbench = file.environment is not None and file.environment.simulator == "OGBench"
    return _SOURCES[file.source].replace("D4RL", "OGBench" if of_ogbench else "D4RL")


def _counts(columns: Columns, episodes: Episodes) -> str:
    unfinished = int((~episodes.finished).sum())
    timeouts = columns.timeout
    return (
        f"{len(episodes.returns):,} episodes ({unfinished} unfinished), "
        f"{int(columns.terminal.sum()):,} terminals, "
        + ("no 'timeouts' key" if timeouts is None else f"{int(timeouts.sum()):,} timeouts")
    )


def _episode_table(file: Examined, episodes: Episodes) -> Table:
    """The distribution of returns, normalised scores and lengths."""
    measures = {"return": episodes.returns}
    if file.environment is not None and not file.environment.by_success:
        scores = normalized_score(file.environment.name, episodes.returns)
        measures["score"] = np.asarray(scores)
    measures["length"] = episodes.lengths
    table = Table("per episode")
    for name in measures:
        table.add_column(name, justify="right")
    for label, q in _QUANTILES:
        table.add_row(label, *(f"{np.quantile(x, q):,.1f}" for x in measures.values()))
    table.add_row("mean", *(f"{x.mean():,.1f}" for x in measures.values()), style="bold")
    return table


def _value_table(columns: Columns) -> Table:
    """Ranges of every column over its finite numbers, and how many others there are."""
    table = Table("column", "shape")
    for name in ("minimum", "mean", "maximum", "not finite"):
        table.add_column(name, justify="right", overflow="fold")
    for name in ("observation", "action", "reward", "next_observation"):
        x = getattr(columns, name)
        if x is not None:
            table.add_row(name, " x ".join(map(str, x.shape)), *_range(x), style="bold")
            parts = x.T[:COLUMNS] if x.ndim == 2 and x.shape[1] > 1 else ()
            for k, part in enumerate(parts):
                table.add_row(f"  {k}", "", *_range(part))
            if x.ndim == 2 and x.shape[1] > COLUMNS:
                table.add_row(f"  ... {x.shape[1] - COLUMNS} more", "")
    return table


def _range(x: np.ndarray) -> tuple[str, ...]:
    """Minimum, mean and maximum of the finite numbers, and the number of others if any."""
    known = x[np.isfinite(x)]
    others = f"{x.size - known.size:,}" if known.size < x.size else ""
    if not known.size:
        return "", "", "", others
    values = (known.min(), known.mean(dtype=np.float64), known.max())
    return *(f"{v:,.4g}" for v in values), others


def plot_returns(file: Examined, target: Path) -> None:
    """Write a histogram of episode returns as a PNG.

    Arguments:
        file: an examined file with columns.
        target: the PNG to write.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    assert file.columns is not None
    episodes = find_episodes(file.columns, file.environment)
    returns = episodes.returns[np.isfinite(episodes.returns)]
    figure, axes = plt.subplots(figsize=(7.2, 4.2), layout="constrained")
    bins = min(60, max(10, int(np.sqrt(max(len(returns), 1)) * 2)))
    axes.hist(returns, bins=bins, color="#4477aa", edgecolor="white", linewidth=0.4)
    if len(returns):
        mean = returns.mean()
        axes.axvline(mean, color="#cc3311", linewidth=1.6, label=f"mean {mean:,.1f}")
        axes.legend(frameon=False)
    axes.set_xlabel("episode return (raw sum of rewards)")
    axes.set_ylabel("episodes")
    title = f"{file.name}: {len(returns):,} episodes, {_source_of(file)}"
    axes.set_title(textwrap.fill(title, 76), fontsize=11, loc="left")
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.set_axisbelow(True)
    axes.spines[["right", "top"]].set_visible(False)
    axes.grid(axis="y", alpha=0.25)
    if file.environment is not None and not file.environment.by_success:
        _add_score_axis(axes, file.environment)
    figure.savefig(target, dpi=150)
    plt.close(figure)


def _add_score_axis(axes, environment) -> None:
    """A second axis on top: the same returns as normalised scores."""
    low, scale = environment.minimum, (environment.maximum - environment.minimum) / 100
    top = axes.secondary_xaxis(
        "top", functions=(lambda x: (x - low) / scale, lambda y: low + y * scale)
    )
    top.set_xlabel("normalised score")
