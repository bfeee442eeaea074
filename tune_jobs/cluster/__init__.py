"""Clusters: cluster.yaml for other places, what is wrong with it, and with one that runs."""
