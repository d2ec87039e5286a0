"""The scenarios, by name: each makes its world, times its sides, checks what they did."""
