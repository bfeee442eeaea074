"""What a person runs: jobs, and the analysis of what they wrote."""
