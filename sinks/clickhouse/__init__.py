"""ClickHouse, embedded or as a server: one client, one SQL, one writer for both."""
