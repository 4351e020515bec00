"""Arrays in, Matplotlib out. Computes nothing, saves nothing, shows nothing."""
