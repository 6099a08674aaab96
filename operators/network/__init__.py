"""Keep what all desks share: the twin in its context, legs, pickups, cases."""
