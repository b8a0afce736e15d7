"""What does not fit into memory is computed again, and seeds wait for one another."""

import numpy as np
from dreams import TINY

from shared.runs import estimates, fitting
from shared.runs.plan import make_plan
from shared.training.progress import Progress
from shared.types import Spec

SPEC = Spec.of_pixels((32, 32, 3), 6, np.zeros(2, np.float32))
PIXELS = TINY | {"observation": "pixels", "cnn_depth": 8, "cnn_patch": 1, "window": 20}


class Listening(Progress):
    def __init__(self):
        super().__init__()
        self.told = []

    def tell(self, sentence):
        self.told.append(sentence)


def test_one_estimate_decides_and_is_told():
    progress = Listening()
    plan = make_plan("clap", "clap", "walker_walk-medium", seeds=4, overrides=PIXELS)
    whole = estimates.temporaries(plan, SPEC)
    ample = fitting.fit(plan, SPEC, progress, room=4.1 * whole)
    assert ample == {"rematerialise": "off", "seeds_together": 4}
    assert fitting.fitted(plan, {}).hyperparameters["rematerialise"] == "auto"
    again = fitting.fitted(plan, {"fitted": {"rematerialise": "on", "seeds_together": 2}})
    assert again.settings.seeds_together == 2 and again.build().elbo_options["rematerialise"]
    part = estimates.temporaries(again, SPEC)
    assert part < whole / 2
    short = fitting.fit(plan, SPEC, progress, room=2.1 * part)
    assert short == {"rematerialise": "on", "seeds_together": 2}
    assert "2 of 4 seeds are updated at a time" in progress.told[-1]
    assert "computed again in the gradient" in progress.told[-2]
    none = fitting.fit(plan, SPEC, progress, room=part / 2)
    assert none["seeds_together"] == 1 and "may be too much" in progress.told[-1]
