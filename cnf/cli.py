"""The `cnf` command."""

from shared.cli.factory import Later, make_cli

main = make_cli(
    "cnf",
    "Model-free policies in learned, bounded latent action spaces.",
    """Examples:
  cnf train --env hopper-medium --preset quick
  cnf evaluate runs/hopper-medium/cnf-quick --video hopper.mp4
  cnf compare runs/hopper-medium
  cnf data inspect FILE""",
    later=[Later("figures", "cnf.figures:figures", "Draw figures of the papers.")],
)
