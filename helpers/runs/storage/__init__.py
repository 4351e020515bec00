"""The arrays of a run on disk: chunks, checksums and locks."""
