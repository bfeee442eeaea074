"""What the speed claims rest on; results.md holds what was measured."""
