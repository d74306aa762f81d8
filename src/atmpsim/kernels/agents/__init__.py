"""Compiled loops of the agent engine: cells off the lattice, and the fields that they feed and feel."""

from atmpsim.kernels import compiling  # says where machine code is cached, before any of these modules is compiled

__all__ = ["compiling"]
