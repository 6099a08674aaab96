"""The chain as a dataflow: sources, sinks, outlets, checkpoints."""
