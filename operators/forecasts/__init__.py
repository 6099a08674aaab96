"""Expect what comes: demand, transit of lanes, delay of parcels."""
