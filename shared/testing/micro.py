"""Micro-MDPs with known answers: five states, one action in [-1, 1], discount 0.5.

    near, far   a chain: a right action (a > 0) leads to `far`, a left one to `near`; a right one
                in `far` earns 1.  Episodes of four steps end by a time limit.
    terminal    any action earns 1 and ends the episode; what follows is recorded as `far`
    timeout     the same, but a time limit ends the episode
    bandit      any action ends it; a right one earns 3 (1 - a), a left one 1.5 + 3 a.  The best of
                the data is 0.5, but rewards rise towards the gap between the sides, where there
                are no data, from both: critics left to themselves believe in actions there

Actions everywhere are drawn from ±[0.5, 0.8].  So, with the best policy,

    Q(far, right) = 2,   Q(far, left) = Q(near, left) = 0.5,   Q(near, right) = 1
    Q(terminal) = 1,     Q(timeout) = 1 + 0.5 · 2 = 2
"""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from shared.algorithm import AbstractAlgorithm
from shared.datasets.rows import make_dataset, spec_of
from shared.testing.contract import CAPACITY, SEEDS, Material, Trained, run
from shared.training.seeds import of_seed
from shared.types import Transition

STATES = ("near", "far", "terminal", "timeout", "bandit")
NEAR, FAR, TERMINAL, TIMEOUT, BANDIT = range(len(STATES))
DISCOUNT = 0.5
SUPPORT = (0.5, 0.8)
"""Sizes of the recorded actions."""
CHAIN_EPISODES, CHAIN_STEPS, SINGLES = 60, 4, 60


BEST = {(FAR, 1): 2.0, (FAR, -1): 0.5, (NEAR, 1): 1.0, (NEAR, -1): 0.5}
"""Q* of the chain by state and side."""


@cache
def material() -> Material:
    """The recorded rows; observations are one-hot."""
    rng = np.random.default_rng(0)
    rows, episode = [], 0
    for _ in range(CHAIN_EPISODES):
        s = NEAR
        for _ in range(CHAIN_STEPS):
            a = _action(rng)
            s_next = FAR if a > 0 else NEAR
            rows.append((s, a, float(s == FAR and a > 0), False, s_next, episode))
            s = s_next
        episode += 1
    for s in (TERMINAL, TIMEOUT, BANDIT):
        for _ in range(SINGLES):
            a = _action(rng)
            reward = 1.0 if s != BANDIT else 3 * (1 - a) if a > 0 else 1.5 + 3 * a
            rows.append((s, a, reward, s != TIMEOUT, FAR if s != BANDIT else BANDIT, episode))
            episode += 1
    s, a, reward, terminal, s_next, number = (np.array(x) for x in zip(*rows, strict=True))
    one_hot = np.eye(len(STATES), dtype=np.float32)
    action, reward = a.astype(np.float32)[:, None], reward.astype(np.float32)
    transitions = Transition(one_hot[s], action, reward, terminal, one_hot[s_next])
    returns = np.bincount(number, reward)
    return Material(make_dataset(transitions, number), spec_of(transitions, returns))


def learned(algorithm: AbstractAlgorithm, *, updates: int = CAPACITY) -> Trained:
    """The algorithm after `updates` of every phase on these rows; its discount is `DISCOUNT`."""
    state = run(algorithm, material(), chunk=CAPACITY, updates=updates, refresh=True)
    return Trained(algorithm, material(), state)


def actions(subject: Trained) -> Float[np.ndarray, "seeds states"]:
    """The deterministic action in every state, at the start of an episode."""
    return np.stack([_act(subject.algorithm, of_seed(subject.state, i)) for i in range(len(SEEDS))])


def values(subject: Trained, state: int, action: float) -> Float[np.ndarray, "seeds"]:
    """Q of every seed, in units of the recorded rewards."""
    found = []
    for i in range(len(SEEDS)):
        one = of_seed(subject.state, i)
        learned_reward = subject.algorithm.learned_reward(one)
        assert learned_reward is not None, "there is no critic of actions"
        q = subject.algorithm.critic_value(one, jnp.eye(len(STATES))[state], jnp.array([action]))
        found.append(float(q) / float(learned_reward.scale))
    return np.array(found)


def check_ends(subject: Trained, *, tolerance: float = 0.25, timeout: bool = True) -> None:
    """A terminal masks what follows, a time limit does not.

    `timeout=False` for SARSA, which never sees the last row of an episode that a time limit ended.
    """
    for action in (-0.65, 0.65):
        q = values(subject, TERMINAL, action)
        np.testing.assert_allclose(q, 1.0, atol=tolerance, err_msg="Q(terminal) is its reward, 1")
        if timeout:
            q = values(subject, TIMEOUT, action)
            np.testing.assert_allclose(q, 2.0, atol=tolerance, err_msg="Q(timeout) = 1 + V / 2")


def check_chain_values(
    subject: Trained, *, known: dict[tuple[int, int], float] = BEST, tolerance: float = 0.25
) -> None:
    """Values by state and side, the best policy's by default."""
    for (state, side), expected in known.items():
        q = values(subject, state, 0.65 * side)
        np.testing.assert_allclose(q, expected, atol=tolerance, err_msg=f"{STATES[state]}, {side}")


def check_chain_policy(subject: Trained) -> None:
    """It goes right in both states."""
    chosen = actions(subject)[:, [NEAR, FAR]]
    assert (chosen > 0).all(), f"right is positive, these are {chosen}"


def check_support(subject: Trained, *, slack: float = 0.17) -> None:
    """The bandit's action is where the data are, on the side that earns more."""
    chosen, (low, high) = actions(subject)[:, BANDIT], SUPPORT
    assert ((chosen > low - slack) & (chosen < high + slack)).all(), f"{chosen} lie outside"


def _action(rng) -> float:
    return float(rng.choice([-1, 1]) * rng.uniform(*SUPPORT))


@partial(jax.jit, static_argnames=("algorithm",))
def _act(algorithm, state):
    def act(observation):
        memory = algorithm.initial_memory(state)
        return algorithm.act(state, memory, observation, key=None)[0][0]

    return jax.vmap(act)(jnp.eye(len(STATES)))
