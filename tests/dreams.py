"""C-LAP at toy size."""

TINY = {
    **{"steps": 6, "model_steps": 8, "batch_size": 3, "model_batch_size": 4, "window": 9},
    **{"deterministic": 10, "stochastic": 4, "latent_action": 3, "hidden_sizes": [12, 11]},
    **{"classes": 3, "flow_layers": 2, "flow_hidden_size": 8, "flow_steps": 2},
    **{"actor_hidden_sizes": [12], "value_hidden_sizes": [12], "starts": 8, "horizon": 3},
    **{"validate_every": 4, "validation_windows": 4, "steps_per_call": 4, "episodes": 1},
}
