"""Choose node, carrier and service of an order, and explain the choice."""
