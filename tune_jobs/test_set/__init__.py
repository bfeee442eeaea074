"""The sealed test set: the only room that reads its images."""
