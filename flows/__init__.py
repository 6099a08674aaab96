"""Where it runs: Bytewax wiring, sources and sinks, command line, simulation, importers."""
