"""A release: trained policies as NumPy archives in a folder that any web server can offer.

<name>.npz       what acts, see `shared/export/numpy_archive.py`
<name>.json      its card: data, updates, seeds, returns, licence, command
<name>.md        the same for people
README.md        one line a policy
SHA256SUMS       of all of these; `load_policy("name@release")` reads it first
"""

import json
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shared.comparison.read import read_run
from shared.errors import ExportError, RunError
from shared.export.export import READER, export_run
from shared.export.manifest import packages
from shared.loading.listing import SUMS
from shared.record.run_folder import RunFolder, require_empty
from shared.storage.checksum import sha256_of
from shared.storage.durable import disk_errors


def release_runs(
    runs: Sequence[str | Path], out: str | Path, name: str, *, licence: str = "Apache-2.0"
) -> Path:
    """Pack the first seed's last policy of every run.

    Arguments:
        runs: run folders.
        out: the folder that holds releases.
        name: of the release, also its folder's name.
        licence: of the policies.

    Returns:
        The folder of the release.

    Raises:
        ExportError: an unfit name, two policies of one name, or one that no archive can hold.
        RunError: no run folder, a damaged one, or a folder that is not empty.
    """
    folder = Path(out) / name
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,100}", name):
        raise ExportError(f"'{name}' is no name of a release; use letters, digits, '-', '_', '.'.")
    if folder.is_dir() and any(folder.iterdir()):
        raise RunError(f"{folder} is not empty; choose another --name.")
    require_empty(folder)
    named = {policy_name(Path(run)): Path(run) for run in runs}
    if len(named) < len(runs):
        raise ExportError(f"{folder}: two of the runs have one name; train with another --label.")
    with disk_errors(f"{folder} could not be written", "make room or choose another --out"):
        folder.mkdir(parents=True, exist_ok=True)
        cards = [_pack(run, folder, policy, licence) for policy, run in named.items()]
        (folder / READER).unlink()  # it comes with the package that reads releases
        (folder / "README.md").write_text(_index(name, cards), "utf-8")
        sums = "".join(f"{sha256_of(file)}  {file.name}\n" for file in sorted(folder.iterdir()))
        (folder / SUMS).write_text(sums, "utf-8")
    return folder


def policy_name(run: Path) -> str:
    """What a run's policy is called: data set and label, in small letters."""
    record = RunFolder.open(run, write=False).record
    words = f"{record['dataset'] or record['data']['name']}-{record['label']}"
    return re.sub(r"[^a-z0-9_.]+", "-", words.lower()).strip("-.")


def portable(command: str) -> str:
    """A command line without the places of the machine that ran it."""
    words, kept = iter(shlex.split(command)), []
    for word in words:
        if word in ("--out", "--data-dir"):
            next(words, None)
        elif word in ("--data", "--model", "--decoder"):
            kept += [word, Path(next(words, "")).name]
        else:
            kept.append(word)
    return shlex.join(kept)


def _pack(run: Path, folder: Path, policy: str, licence: str) -> dict[str, Any]:
    file = folder / f"{policy}.npz"
    export_run(run, file)
    card = _card(run, file, licence)
    (folder / f"{policy}.json").write_text(json.dumps(card, indent=1) + "\n", "utf-8")
    (folder / f"{policy}.md").write_text(_words(policy, card), "utf-8")
    return card


def _card(run: Path, file: Path, licence: str) -> dict[str, Any]:
    found, record = read_run(run), RunFolder.open(run, write=False).record
    scores = [
        {
            "seed": seed,
            "episodes": len(episodes),
            "return": float(np.mean([e.return_ for e in episodes])),
            "return_std": float(np.std([e.return_ for e in episodes])),
            "score": float(np.mean([e.score for e in episodes])),
        }
        for seed, episodes in found.final_episodes("deterministic").items()
    ]
    return {
        "file": file.name,
        "sha256": sha256_of(file),
        "bytes": file.stat().st_size,
        "family": record["family"],
        "algorithm": found.algorithm,
        "label": found.label,
        "preset": found.preset,
        "hyperparameters": found.hyperparameters,
        "environment": record["environment"],
        "dataset": record["dataset"],
        "data": {key: record["data"].get(key) for key in ("name", "sha256", "rows")},
        "source": found.source,
        "updates": record["phases"],
        "seeds": list(found.seeds),
        "seed": found.seeds[0],
        "evaluation": scores,
        "licence": licence,
        "command": portable(record.get("command") or ""),
        "versions": packages(record),
        "commit": record.get("commit"),
    }


def _words(policy: str, card: dict[str, Any]) -> str:
    data, updates = card["data"], ", ".join(f"{x['name']} {x['steps']:,}" for x in card["updates"])
    lines = [
        f"# {policy}",
        "",
        f"`{card['algorithm']}` ({card['family']}, preset {card['preset'] or 'none'}) on "
        f"{card['dataset'] or data['name']}.",
        "",
        f"- **Data**: {card['source']}, {data['rows']:,} rows, SHA-256 `{data['sha256']}`",
        f"- **Updates**: {updates}",
        f"- **Seed**: {card['seed']}, the first of {card['seeds']}; it was not chosen by its score",
        f"- **Licence**: {card['licence']}",
        f"- **Command**: `{card['command']}`",
        f"- **File**: `{card['file']}`, {card['bytes']:,} bytes, SHA-256 `{card['sha256']}`",
        "",
        "| seed | episodes | return | std | score |",
        "| --: | --: | --: | --: | --: |",
    ]
    lines += [
        f"| {x['seed']} | {x['episodes']} | {x['return']:.1f} | {x['return_std']:.1f} | "
        f"{x['score']:.1f} |"
        for x in card["evaluation"]
    ]
    return "\n".join(lines) + "\n\nReturns of the last evaluation, deterministic policy.\n"


def _index(name: str, cards: list[dict[str, Any]]) -> str:
    lines = [
        f"# Release {name}",
        "",
        f'`shared.load_policy("NAME@{name}")` loads a policy of this folder.',
        "",
        "| policy | algorithm | data | score of its seed | bytes |",
        "| :-- | :-- | :-- | --: | --: |",
    ]
    for card in cards:
        policy = card["file"].removesuffix(".npz")
        own = [x["score"] for x in card["evaluation"] if x["seed"] == card["seed"]]
        score = f"{own[0]:.1f}" if own else "n/a"
        about = f"{card['algorithm']} | {card['source']} {card['dataset'] or card['data']['name']}"
        lines.append(f"| [{policy}]({policy}.md) | {about} | {score} | {card['bytes']:,} |")
    return "\n".join(lines) + "\n"
