"""What can be wrong with a cluster file, found before money is spent."""
