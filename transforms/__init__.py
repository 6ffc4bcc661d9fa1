"""The shared features of flights from New York: pure functions, one definition for pipelines, training and serving.

They import numpy and the contract, and touch no clock, randomness, I/O or global state: the time is an argument.
"""
