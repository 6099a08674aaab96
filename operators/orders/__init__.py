"""Carry an order from placed to handed over."""
