"""Train the trials of any strategy with Ray Tune and write a complete run folder."""
