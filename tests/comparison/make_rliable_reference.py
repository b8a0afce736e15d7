"""What rliable says of fixed scores: writes `rliable_reference.json` beside this file.

    python -m venv V && V/bin/pip install rliable==1.2.0 arch==7.2.0 "numpy<2.5" "pandas<3"
    V/bin/python tests/comparison/make_rliable_reference.py

rliable draws its resamples from NumPy's global legacy generator, whose stream is frozen: a test
can draw the very same ones, and then intervals must agree to rounding.
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np

SEED, REPETITIONS = 0, 400


def scores():
    """Two algorithms with 7 and 5 seeds of 4 tasks, shape (seeds, tasks), with ties in them."""
    rng = np.random.default_rng(18)
    x = np.round(rng.normal([60, 40, 85, 10], [8, 5, 20, 3], (7, 4)), 1)
    y = np.round(rng.normal([55, 42, 80, 10], [6, 4, 5, 1], (5, 4)), 1)
    y[:2, 1] = x[:2, 1]
    return x, y


def main():
    """Point estimates, intervals, profiles and probability of improvement."""
    from rliable import library, metrics

    x, y = scores()
    thresholds = np.linspace(-5.0, 120.0, 26)

    def interval(function, data):
        np.random.seed(SEED)  # noqa: NPY002
        return library.get_interval_estimates(data, function, reps=REPETITIONS)

    found = {"mean": metrics.aggregate_mean, "iqm": metrics.aggregate_iqm}
    reference = {"x": x, "y": y, "thresholds": thresholds}
    for name, function in found.items():
        for who, matrix in (("x", x), ("y", y)):
            points, ends = interval(lambda s, f=function: np.array([f(s)]), {who: matrix})
            reference[f"{name}_{who}"] = [points[who][0], *ends[who][:, 0]]
    pair = {"x,y": (x, y)}
    points, ends = interval(metrics.probability_of_improvement, pair)
    reference["improvement"] = [points["x,y"], *ends["x,y"][:, 0]]
    np.random.seed(SEED)  # noqa: NPY002
    profiles, bands = library.create_performance_profile({"x": x}, thresholds, reps=REPETITIONS)
    reference["profile"] = [profiles["x"], *bands["x"]]
    made = {name: version(name) for name in ("rliable", "arch", "numpy", "scipy")}
    content = {"versions": made, "seed": SEED, "repetitions": REPETITIONS}
    content |= {key: np.asarray(value).tolist() for key, value in reference.items()}
    lines = (f" {json.dumps(key)}: {json.dumps(value)}" for key, value in content.items())
    path = Path(__file__).with_name("rliable_reference.json")
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
