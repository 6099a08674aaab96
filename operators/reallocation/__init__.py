"""Move parcels that are not picked yet to better plans."""
