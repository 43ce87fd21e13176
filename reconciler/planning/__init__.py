"""Pure decisions: desired and live in, a plan out. No clock, no randomness, no I/O."""
