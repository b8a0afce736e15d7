"""The model-free family: name -> algorithm class."""

from cnf.algorithms.awac import AWAC
from cnf.algorithms.bc import BC
from cnf.algorithms.cnf import CNF
from cnf.algorithms.iql import IQL
from cnf.algorithms.plas import PLAS
from cnf.algorithms.spot import SPOT
from cnf.algorithms.td3bc import TD3BC

ALGORITHMS = {
    "cnf": CNF,
    "plas": PLAS,
    "spot": SPOT,
    "td3bc": TD3BC,
    "iql": IQL,
    "awac": AWAC,
    "bc": BC,
    "bc-10": BC,
}
