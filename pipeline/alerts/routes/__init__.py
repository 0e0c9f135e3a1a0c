"""Ways to receivers, a page for each; `open_routes` makes them from a definition."""
