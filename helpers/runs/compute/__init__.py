"""Filling the arrays of a run: drawn, encoded and scored in one visit, here or on a cluster."""
