"""The files of a run: the contract between the jobs, which write them, and the analysis."""
