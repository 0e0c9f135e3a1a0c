"""The story of a visitor: from rows of the views to a time line that says why."""
