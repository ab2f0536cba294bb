"""Shapes of models, what proving one takes with this program and with ezkl, and the tables of it."""
