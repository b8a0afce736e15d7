"""Small real HDF5 files in D4RL's form, and a cache folder away from the user's own."""

import h5py
import numpy as np
import pytest


def make_arrays(rows=60, seed=0, with_next=True):
    """Three episodes of 20 rows: the first ends in a terminal, the others at a timeout."""
    generator = np.random.default_rng(seed)
    observation = generator.normal(size=(rows, 3)).astype(np.float32)
    arrays = {
        "observations": observation,
        "actions": generator.uniform(-1, 1, (rows, 2)).astype(np.float32),
        "rewards": generator.normal(size=rows).astype(np.float32),
        "terminals": np.zeros(rows, bool),
        "timeouts": np.zeros(rows, bool),
    }
    arrays["terminals"][19] = True
    arrays["timeouts"][[39, 59]] = True
    if with_next:
        ends = arrays["terminals"] | arrays["timeouts"]
        following = np.roll(observation, -1, axis=0)
        following[ends] = generator.normal(size=(ends.sum(), 3))
        arrays["next_observations"] = following
    return arrays


@pytest.fixture
def arrays():
    return make_arrays()


@pytest.fixture
def write(tmp_path):
    """`write(arrays, name="data.hdf5", attributes={}, **options)` gives the file's path."""

    def write(arrays, name="data.hdf5", attributes=None, **options):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, "w") as file:
            file.attrs.update(attributes or {})
            for key, value in arrays.items():
                file.create_dataset(key, data=value, **options)
        return path

    return write


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Never touch the user's cache, and never leave this machine."""
    monkeypatch.setenv("LATENT_POLICIES_DATA", str(tmp_path / "cache"))
    monkeypatch.setenv("LATENT_POLICIES_OFFLINE", "1")
    monkeypatch.delenv("LATENT_POLICIES_MIRROR", raising=False)
