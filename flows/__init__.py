"""Entry points: Bytewax wiring, sources and sinks, command line, simulation, importers."""
