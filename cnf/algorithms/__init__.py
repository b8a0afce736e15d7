"""The model-free family: name -> module and class of an algorithm, imported when it is used."""

ALGORITHMS = {
    "cnf": "cnf.algorithms.cnf:CNF",
    "cnf-vae": "cnf.algorithms.cnf:CNF",
    "plas": "cnf.algorithms.plas:PLAS",
    "spot": "cnf.algorithms.spot:SPOT",
    "lapo": "cnf.algorithms.lapo:LAPO",
    "bcq": "cnf.algorithms.bcq:BCQ",
    "bear": "cnf.algorithms.bear:BEAR",
    "brac-v": "cnf.algorithms.brac:BRAC",
    "td3bc": "cnf.algorithms.td3bc:TD3BC",
    "rebrac": "cnf.algorithms.rebrac:ReBRAC",
    "iql": "cnf.algorithms.iql:IQL",
    "awac": "cnf.algorithms.awac:AWAC",
    "cql": "cnf.algorithms.cql:CQL",
    "fql": "cnf.algorithms.fql:FQL",
    "onestep": "cnf.algorithms.onestep:Onestep",
    "dt": "cnf.algorithms.dt:DT",
    "bc": "cnf.algorithms.bc:BC",
    "bc-10": "cnf.algorithms.bc:BC",
    "td3-off": "cnf.algorithms.td3_off:TD3Off",
    "sac-off": "cnf.algorithms.sac_off:SACOff",
}
