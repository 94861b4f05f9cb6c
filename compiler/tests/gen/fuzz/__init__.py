"""Generators of random quantised graphs, one file per subject."""
