"""What processes count as they work; campaigns.watching shows it."""
