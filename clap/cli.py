"""The `clap` command."""

from shared.cli.factory import make_cli

main = make_cli(
    "clap",
    "Model-based policies in the latent action space of a world model.",
    """Examples:
  clap data list
  clap algorithms""",
)
