"""Training on a simulated chip, and float baselines in the same loop."""
