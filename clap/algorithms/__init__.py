"""The model-based family: name -> algorithm class."""

from clap.algorithms.clap import CLAP
from clap.algorithms.mobile import MOBILE
from clap.algorithms.mopo import MOPO

ALGORITHMS = {"clap": CLAP, "mopo": MOPO, "mobile": MOBILE}
