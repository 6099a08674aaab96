"""What is true: events, actions, policy, the twin, the codec, the journal and the stores."""
