"""Shipping: from the spool to the destination, in a process beside serving."""
