"""Ray for the jobs: starting and stopping it, its capacity, and a check of the shared storage."""
