"""Clusters: check cluster.yaml, render it for other providers, diagnose a running cluster."""
