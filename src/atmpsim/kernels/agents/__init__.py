"""Compiled loops of the agent engine: cells off the lattice, and the fields that they feed and feel."""
