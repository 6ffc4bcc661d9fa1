"""The audit's pass in a Spark session: Feast's own, where its Spark offline store retrieves."""
