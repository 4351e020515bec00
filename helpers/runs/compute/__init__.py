"""Filling the arrays of a run: drawn, encoded and scored in one pass, here or on a cluster."""
