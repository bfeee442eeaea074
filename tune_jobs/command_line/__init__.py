"""What a person types: the options, how they are read and resumed, and the exit code."""
