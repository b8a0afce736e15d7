"""The `clap` command."""

from shared.cli.factory import Later, make_cli

main = make_cli(
    "clap",
    "Model-based policies in the latent action space of a world model.",
    """Examples:
  clap train --env hopper-medium-expert --preset quick
  clap train --env hopper-medium-expert --model runs/model --sweep support=0.5,1,2
  clap train --env hopper-medium-replay --algo mobile --preset quick
  clap compare runs/hopper-medium-expert
  clap figures actions runs/model
  clap train --env walker_walk-medium_expert --observation pixels --preset quick
  clap figures open-loop runs/pixels --out open-loop.gif""",
    later=[
        Later("figures", "clap.figures.commands:figures", "Draw what a world model has learned.")
    ],
)
