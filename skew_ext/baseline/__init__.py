"""The training side: Feast's point-in-time retrieval for what was served, and the source rows that explain it."""
