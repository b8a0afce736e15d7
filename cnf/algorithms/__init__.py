"""The model-free family: name -> algorithm class."""

from cnf.algorithms.bc import BC
from cnf.algorithms.cnf import CNF

ALGORITHMS = {"cnf": CNF, "bc": BC}
