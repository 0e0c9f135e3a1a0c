"""What follows from one event alone."""
