"""Functions on arrays: what is computed from pixels, embeddings and contributions. Runs no model."""
