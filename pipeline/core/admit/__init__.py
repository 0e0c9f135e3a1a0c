"""What becomes of each record: accepted, late, duplicate, filtered or rejected."""
