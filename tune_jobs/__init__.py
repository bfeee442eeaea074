"""Jobs that train and compare models, and the analysis of their results."""
