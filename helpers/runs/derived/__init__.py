"""Results of passes beside a run's own, each kept with the run as one file."""
