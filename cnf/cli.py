"""The `cnf` command."""

from shared.cli.factory import make_cli

main = make_cli(
    "cnf",
    "Model-free policies in learned, bounded latent action spaces.",
    """Examples:
  cnf train --env hopper-medium --preset quick
  cnf evaluate runs/hopper-medium/cnf-quick --video hopper.mp4
  cnf compare runs/hopper-medium
  cnf data inspect FILE""",
)


def _mount_figures() -> None:
    from cnf.figures import figures
    from cnf.mmd import mmd_command

    figures.add_command(mmd_command)
    main.add_command(figures)


_mount_figures()
