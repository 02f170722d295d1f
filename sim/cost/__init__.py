"""What a design costs: area, delay, power, and the energy of a training step."""
