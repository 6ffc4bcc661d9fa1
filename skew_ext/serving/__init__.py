"""Serving: capture on the caller's thread, and the spool that keeps what was captured."""
