"""Will an update fit into memory?  If not, it computes again what it does not keep, and seeds wait.

One estimate decides (`estimates.temporaries`), before the start, and is told.  The choice is
written into the run's record, so that a resumed run is the same program on any machine.
"""

from dataclasses import replace
from typing import Any

from shared.datasets.frame_store import device_memory
from shared.runs import estimates
from shared.runs.plan import Plan
from shared.training.progress import Progress
from shared.types import Spec

ROOM = 0.8
"""Of the free memory, for an update."""


def fit(plan: Plan, spec: Spec, progress: Progress, *, room: float | None = None) -> dict[str, Any]:
    """What this run does to fit, for its record; `progress` is told.

    Arguments:
        plan: of the run; what it fixes itself is not touched.
        spec: of its data.
        progress: hears one sentence.
        room: bytes for an update; default: a share of what is free.
    """
    room = ROOM * device_memory() if room is None else room
    count, asked = len(plan.seeds), plan.settings.seeds_together
    one, chosen = estimates.temporaries(plan, spec), {}
    if plan.hyperparameters.get("rematerialise") == "auto":
        again = one * (asked or count) > room
        chosen["rematerialise"] = "on" if again else "off"
        before = one
        if again:
            one = estimates.temporaries(fitted(plan, {"fitted": chosen}), spec)
            progress.tell(
                f"an update would hold about {_size(before * (asked or count))} of intermediates; "
                "the CNN's are computed again in the gradient"
            )
    together = asked or max(1, min(count, int(room // max(one, 1))))
    chosen["seeds_together"] = together
    seeds = "" if together >= count else f"; {together} of {count} seeds are updated at a time"
    if one * together > room:
        seeds += ", which may be too much; lower batch size or window with --set"
    progress.tell(
        f"an update holds about {_size(one * together)} of intermediates, {_size(round(room))} are "
        f"free for them{seeds}"
    )
    return chosen


def fitted(plan: Plan, record: dict[str, Any]) -> Plan:
    """The plan as a run of this record carries it out."""
    chosen = dict(record.get("fitted") or {})
    together = chosen.pop("seeds_together", plan.settings.seeds_together)
    settings = replace(plan.settings, seeds_together=together)
    return replace(plan, hyperparameters=plan.hyperparameters | chosen, settings=settings)


def _size(count: int) -> str:
    return f"{count / 2**20:,.0f} MiB" if count < 2**30 else f"{count / 2**30:,.1f} GiB"
