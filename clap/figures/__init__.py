"""Figures of world models, and the commands that draw them."""
