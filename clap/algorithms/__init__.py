"""The model-based family: name -> algorithm class."""

from clap.algorithms.clap import CLAP

ALGORITHMS = {"clap": CLAP}
