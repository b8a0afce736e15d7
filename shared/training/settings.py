"""How a run is carried out, whatever the algorithm; values in `configs/run.yaml`."""

from dataclasses import dataclass, field
from typing import Literal

from shared.ranges import Count, DropRate, Real, Size


def _setting(help_text: str):
    return field(metadata={"help": help_text})


@dataclass(frozen=True)
class RunSettings:
    """Everything about a run that no paper speaks of."""

    observation: Literal["state", "pixels"] = _setting("what the policy sees; pixels of V-D4RL")
    rows: Size = _setting("rows (or frames) recorded when the collected stand-in is used")
    frame_size: Literal[64, 84] = _setting("pixels a side of the frames")
    render: Literal["fast", "faithful"] = _setting("how the frames of a stand-in are drawn")
    frames: Literal["auto", "device", "mapped"] = _setting(
        "where frames are kept: on the device, on the host, or by the memory there is"
    )
    action_range: tuple[Real, ...] | None = _setting(
        "lowest and highest command, [low, high] or a pair a motor, if the data do not say it"
    )
    cut_jumps: bool = _setting("end episodes where the next row does not continue them")
    held_out_episodes: DropRate = _setting(
        "share of the episodes that training never sees, for 'choose' to judge the policy on"
    )
    validation_fraction: DropRate = _setting("share of the episodes held out for validation")
    seeds_together: Size | None = _setting(
        "seeds updated side by side; null = all, or of pixels as many as the memory holds"
    )
    devices: Size = _setting("devices that seeds and batches are spread over")
    steps_per_call: Size = _setting("updates in one compiled call, and in one row of metrics")
    evaluate_every: Size = _setting("updates between two evaluations")
    evaluate_first: bool = _setting(
        "score what acts before the policy's first update, too: a clone while it is trained"
    )
    episodes: Size = _setting("episodes of each seed and policy mode in an evaluation")
    evaluate_sampled: bool = _setting("play sampled actions in an evaluation, not only the mode")
    save_every: Size = _setting("updates between two checkpoints")
    online_steps: Count = _setting("steps in the simulator after training, an update for each")
    online_block: Size = _setting("steps of a seed between two stretches of updates")
    online_simulators: Size = _setting("simulators of a seed side by side in the online phase")
    replay_rows: Size = _setting("newest rows of the online phase that are kept")
    keep_checkpoints: Size = _setting("newest checkpoints kept, besides the best")
    matmul_precision: Literal["default", "bfloat16", "float32"] = _setting(
        "operands of products in training: as the device likes them (a GPU may round to TF32); "
        "hidden layers' in bfloat16, faster where the processor has it; or all in full float32"
    )
