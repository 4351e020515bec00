"""Functions on arrays: scores, statistics, heads, shifts. Reads no file, runs no model."""
