"""The pages of a run: its report, its notebooks and what they were made from."""
