"""Watching what is served, as it is served: small audits of what is new, their sum, incidents, and who is told."""
