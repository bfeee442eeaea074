"""Search spaces: parameters with ranges, choices and conditions, and their YAML files."""
