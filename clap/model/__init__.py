"""Models of the world: recurrent ones with latent actions, ensembles of single steps."""
