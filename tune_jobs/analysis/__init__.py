"""From a run folder to data frames, figures and reports; reads files, never live Ray objects."""
