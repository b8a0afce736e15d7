"""Dependencies that could break from outside: what we count on, asked of what is installed."""

import tomllib
from importlib.metadata import requires, version
from pathlib import Path

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from shared.models.flow import ConditionalFlow

ROOT = Path(__file__).parents[1]


def requirement(name: str) -> Requirement:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return next(r for r in map(Requirement, project["dependencies"]) if r.name == name)


def test_the_nightly_behind_distrax_is_bounded_at_both_ends():
    """distrax takes any nightly; ours are those that were tried, and an installer may take them."""
    asked = next(r for r in map(Requirement, requires("distrax") or []) if r.name == "tfp-nightly")
    assert not asked.specifier  # else the bound of ours may go
    ours = requirement("tfp-nightly").specifier
    assert {s.operator for s in ours} == {">=", "<="}
    assert all(Version(s.version).is_prerelease for s in ours)
    assert ours.contains(version("tfp-nightly"), prereleases=True)
    assert not ours.contains("0.26.0.dev20991231", prereleases=True)


def test_distrax_samples_and_knows_its_densities():
    """Through the nightly: a distribution of distrax is one of TensorFlow Probability."""
    normal = distrax.MultivariateNormalDiag(jnp.zeros(2), jnp.array([1.0, 2.0]))
    x = normal.sample(seed=jax.random.key(0), sample_shape=20_000)
    np.testing.assert_allclose(jnp.std(x, 0), [1.0, 2.0], rtol=0.02)
    expected = -0.5 * (x[0, 0] ** 2 + (x[0, 1] / 2) ** 2) - np.log(2 * np.pi * 2)
    np.testing.assert_allclose(normal.log_prob(x[0]), expected, rtol=1e-5)
    squashed = distrax.Transformed(distrax.Normal(0.0, 1.0), distrax.Tanh())
    assert abs(squashed.sample(seed=jax.random.key(1))) < 1


@pytest.mark.parametrize("rows", [40_000])
def test_many_rows_of_small_products_are_right(rows):
    """jaxlib 0.10.2 for CPUs gets sums over so many products with a tiny matrix wrong, silently.

    jax-ml/jax issue 39103: `vmap(lambda x: sum((W @ x) ** 2))` with W of 3 × 3.  The layers of a
    flow of three actions are such products; they are not in the form that suffers.
    """
    flow = ConditionalFlow(0, 3, layers=2, hidden_size=16, key=jax.random.key(0))
    action = jnp.tanh(jax.random.normal(jax.random.key(1), (rows, 3)))
    log_prob = jax.jit(jax.vmap(lambda x: flow.log_prob(jnp.zeros(0), x)))
    parts = jnp.concatenate([log_prob(action[i : i + 1000]) for i in range(0, rows, 1000)])
    np.testing.assert_allclose(log_prob(action), parts, rtol=1e-4, atol=1e-4)
