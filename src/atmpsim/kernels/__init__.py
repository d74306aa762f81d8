"""Compiled loops: arrays and numbers only; nothing here is imported before it is compiled."""
