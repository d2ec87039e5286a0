"""`make bench`: how fast the engine is, as ratios to a limit measured in the same run."""
