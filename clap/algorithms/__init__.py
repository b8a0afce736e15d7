"""The model-based family: name -> algorithm class."""

ALGORITHMS = {}
