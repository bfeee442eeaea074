"""Data frames, figures and reports made from the files of a run folder; no Ray objects."""
