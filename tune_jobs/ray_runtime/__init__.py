"""The Ray that jobs run on: its start and end, its capacity, and the storage its nodes share."""
