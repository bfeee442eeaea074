"""Training trials on Ray Tune, whatever proposes them, into a complete run folder."""
