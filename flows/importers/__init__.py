"""Public data as Crossdock logs; what the data lacks is assumed, and marked as assumed."""
