"""The model-based family: name -> module and class of an algorithm, imported when it is used."""

ALGORITHMS = {
    "clap": "clap.algorithms.clap:CLAP",
    "mopo": "clap.algorithms.mopo:MOPO",
    "mobile": "clap.algorithms.mobile:MOBILE",
    "offline-dv2": "clap.algorithms.offline_dv2:OfflineDV2",
    "lompo": "clap.algorithms.lompo:LOMPO",
}
