"""The model-based family: name -> algorithm class."""

from clap.algorithms.clap import CLAP
from clap.algorithms.lompo import LOMPO
from clap.algorithms.mobile import MOBILE
from clap.algorithms.mopo import MOPO
from clap.algorithms.offline_dv2 import OfflineDV2

ALGORITHMS = {
    "clap": CLAP,
    "mopo": MOPO,
    "mobile": MOBILE,
    "offline-dv2": OfflineDV2,
    "lompo": LOMPO,
}
