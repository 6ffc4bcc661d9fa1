"""The reference in docs/, generated from the code: `make docs` writes it, and a test keeps it equal.

What is in a table of the code is taken from there; codes and metrics that stand where they are used are found in the
source by their calls, so a new one is in the reference at the next `make docs`.
"""
