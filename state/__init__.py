"""Facts and state: events, actions, policy, the twin, the codec, the journal, the stores."""
