"""`skew demo`: real flights from New York, replayed as they happened, served, and audited."""
