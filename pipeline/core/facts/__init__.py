"""What the law says, as rows of tables."""
