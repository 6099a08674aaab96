"""Keep the ledger, move stock ahead of demand, propose prices."""
