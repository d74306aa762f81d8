"""Benchmarks: programs that print what they measure; `python -m benchmarks NAME`."""
