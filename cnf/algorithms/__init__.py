"""The model-free family: name -> algorithm class."""

from cnf.algorithms.awac import AWAC
from cnf.algorithms.bc import BC
from cnf.algorithms.bcq import BCQ
from cnf.algorithms.bear import BEAR
from cnf.algorithms.brac import BRAC
from cnf.algorithms.cnf import CNF
from cnf.algorithms.cql import CQL
from cnf.algorithms.dsrl import DSRL
from cnf.algorithms.dt import DT
from cnf.algorithms.fql import FQL
from cnf.algorithms.ifql import IFQL
from cnf.algorithms.iql import IQL
from cnf.algorithms.lapo import LAPO
from cnf.algorithms.onestep import Onestep
from cnf.algorithms.plas import PLAS
from cnf.algorithms.rebrac import ReBRAC
from cnf.algorithms.sac_off import SACOff
from cnf.algorithms.spot import SPOT
from cnf.algorithms.td3_off import TD3Off
from cnf.algorithms.td3bc import TD3BC

ALGORITHMS = {
    "cnf": CNF,
    "plas": PLAS,
    "spot": SPOT,
    "lapo": LAPO,
    "bcq": BCQ,
    "bear": BEAR,
    "brac-v": BRAC,
    "td3bc": TD3BC,
    "rebrac": ReBRAC,
    "iql": IQL,
    "awac": AWAC,
    "cql": CQL,
    "dsrl": DSRL,
    "ifql": IFQL,
    "fql": FQL,
    "onestep": Onestep,
    "dt": DT,
    "bc": BC,
    "bc-10": BC,
    "td3-off": TD3Off,
    "sac-off": SACOff,
}
