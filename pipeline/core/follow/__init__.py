"""What becomes of objects after they were abandoned."""
