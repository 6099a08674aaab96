"""Live: the engine as a continuous stream, on Kafka and Redis."""
