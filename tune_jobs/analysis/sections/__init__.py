"""The evidence of a comparison, a module a section: its info, its figure, its text and tables."""
