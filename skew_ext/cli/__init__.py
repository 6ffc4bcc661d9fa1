"""The `skew` command. Each command imports what it needs when it runs, so that `skew --help` answers at once."""
