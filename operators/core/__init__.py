"""Shared foundations: the operator contract, deadlines, facts that operators derive, wording."""
