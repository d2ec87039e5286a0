"""Chain the stages on the cluster: what is due, and one bounded round of work."""
