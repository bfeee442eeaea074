"""What a search varies: parameters, their ranges and conditions, and the files they stand in."""
