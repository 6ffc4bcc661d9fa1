"""The serving log: its columns, its destinations, and reading it back."""
