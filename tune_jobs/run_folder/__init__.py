"""The files that jobs write and the analysis reads: the contract between the two."""
