"""Public data as Crossdock logs; missing values are assumed, and marked as assumed."""
