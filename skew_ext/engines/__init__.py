"""Where the heavy pass of an audit runs: in this process, or in a Spark session. Both give the same numbers."""
