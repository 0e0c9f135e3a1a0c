"""How an event becomes an insight: read, decode, enrich, route, track, count, write."""
