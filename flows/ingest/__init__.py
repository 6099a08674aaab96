"""Ingest: raw topics of other systems in, one journal topic out."""
