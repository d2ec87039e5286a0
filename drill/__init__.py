"""The drill: the real product under load while its processes are killed at random."""
