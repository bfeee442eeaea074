"""The command line: options, parsing, resuming with stored options, and exit codes."""
