"""Figures of a search: its history, its parameters and its Pareto front."""
