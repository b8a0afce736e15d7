"""A package outside tests its own algorithm with `shared.testing`, from its own folder."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

MODULE = '''
"""Q-learning over a grid of actions."""

from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from shared.algorithm import AbstractAlgorithm, LearnedReward, Phase, hyperparameter
from shared.models.learner import Learner, descend, polyak
from shared.models.losses import td_loss, td_target
from shared.models.networks import Critics

GRID = jnp.linspace(-1.0, 1.0, 9)[:, None]


class State(NamedTuple):
    critic: Learner
    target_critic: Critics


class GridQ(AbstractAlgorithm):
    steps: int = hyperparameter("updates")
    learning_rate: float = hyperparameter("Adam step size")
    discount: float = hyperparameter("discount of future rewards")
    mask_terminal: bool = hyperparameter("nothing follows a terminal")

    title = "GridQ: Q-learning over a grid of actions"
    paper = "nobody 2026"
    values = Path(__file__).with_name("grid_q.yaml")

    @property
    def optimizer(self):
        return optax.adam(self.learning_rate)

    def init(self, spec, *, key):
        critic = Critics(spec.observation_size, spec.action_size, (32, 32), key=key)
        return State(Learner.create(critic, self.optimizer), critic)

    def phases(self):
        return (Phase("policy", self.steps, self.draw, self.update),)

    def draw(self, dataset, *, key):
        return dataset.draw(32, key=key)

    def update(self, state, batch, *, key):
        def target(reward, terminal, s_next):
            q = jax.vmap(state.target_critic, (None, 0))(s_next, GRID)
            terminal &= self.mask_terminal
            return td_target(reward, terminal, jnp.max(jnp.min(q, axis=1)), self.discount)

        y = jax.vmap(target)(batch.reward, batch.terminal, batch.next_observation)
        critic, metrics = descend(
            state.critic,
            self.optimizer,
            lambda m: td_loss(m, batch.observation, batch.action, y),
        )
        return State(critic, polyak(state.target_critic, critic.model, 0.1)), metrics

    def act(self, state, memory, observation, *, key):
        q = jax.vmap(state.critic.model.first, (None, 0))(observation, GRID)
        return GRID[jnp.argmax(q)], memory

    def learned_reward(self, state, *, online=False):
        return LearnedReward(self.discount)

    def critic_value(self, state, observation, action):
        return jnp.min(state.critic.model(observation, action))
'''
TESTS = """
import pytest

from shared.runs import registry
from shared.runs.plan import make_plan
from shared.testing import contract, micro

ALGORITHM = make_plan("cnf", "grid-q", "hopper-medium").build()


def test_the_contract():
    contract.check(ALGORITHM, micro.material())


def test_micro_mdps():
    subject = micro.learned(ALGORITHM, updates=500)
    micro.check_ends(subject)
    micro.check_chain_values(subject)
    micro.check_chain_policy(subject)


def test_a_fault_is_found():
    wrong = {"mask_terminal": False}
    plan = make_plan("cnf", "grid-q", "hopper-medium", overrides=wrong)
    with pytest.raises(AssertionError, match="Q.terminal. is its reward"):
        micro.check_ends(micro.learned(plan.build(), updates=500))
"""
FILES = {
    "grid_q.py": MODULE,
    "grid_q.yaml": "defaults: {steps: 12, learning_rate: 3e-3, discount: 0.5, mask_terminal: true}",
    "test_grid_q.py": TESTS,
    "grid_q-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: grid-q\nVersion: 1.0\n",
    "grid_q-1.0.dist-info/entry_points.txt": "[latent_policies.cnf]\ngrid-q = grid_q:GridQ\n",
}


def test_its_own_tests_pass(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_grid_q.py"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0 and "3 passed" in done.stdout, done.stdout + done.stderr
