"""MOPO: soft actor-critic in a model that pays less where it is unsure.

"MOPO: Model-based Offline Policy Optimization" (Yu et al., 2020).

    models   an ensemble of Gaussians on (s' - s, r), trained on the data          (section 4.3)
             -> clap/model/ensemble.py
    reward   r~(s, a) = r^(s, a) - penalty_scale · max_k ||sigma_k(s, a)||         (8)
    rows     imagined from recorded states: `rollout_length` steps of the policy, every step
             answered by an elite drawn anew; the known rules of the task end them
             -> clap/imagination.py
    policy   soft actor-critic on `real_fraction` recorded rows and the rest imagined, whose
             reward is r~
             y = r + discount (1 - terminal) (min_i Q'_i(s', a') - alpha log pi(a'|s'))

r^ = `answer[:, -1]`, max_k ||sigma_k|| = `aleatoric_doubt` (of all members, the reward's spread
included), lambda = `penalty_scale`, h = `rollout_length`.

Differences from the paper:
    - Networks, step sizes and penalties are those of the later collection of algorithms that
      MOBILE is compared in (2 x 256 in place of the original's sizes, rewards not scaled).
    - The models train for `model_steps` updates, not until nothing improves: a compiled program
      has a fixed length.  Every member keeps what did best on held-out rows.
    - Held out are rows of whole episodes, not single rows, whose neighbours are nearly copies.
    - Members draw batches of their own from all training rows, not from one resample each; each
      has bounds of its log variances for itself.
    - Observations are standardised for the models, actions are taken as they are.
    - alpha is at most 1.
    - Imagined episodes of robots without a known rule end where a classifier learns it from the
      data's terminals (clap/model/terminations.py); the source knows a rule for each of its tasks.
    - Rewards are taken as they are; the collection's script subtracts 1 on antmaze.
"""

from clap.model_based import AbstractModelBased


class MOPO(AbstractModelBased):
    """Model-based Offline Policy Optimization; fields are the hyperparameters."""

    title = "MOPO: soft actor-critic in a model, with a price on its spread"
    paper = "Yu et al. 2020, MOPO: Model-based Offline Policy Optimization (arXiv:2005.13239)"

    def imagined_reward(self, reward, doubt):
        """Equation 8."""
        return reward - self.penalty_scale * doubt

    def targets(self, state, rows, s_next, *, key):
        """Those of soft actor-critic: the price is in the rewards."""
        options = {"alpha": self.alpha_of(state.agent), "discount": self.discount, "key": key}
        return state.agent.targets(rows.reward, rows.terminal, s_next, **options), {}
