"""Keep the parts that all desks share: the twin in its context, legs, pickups, cases."""
