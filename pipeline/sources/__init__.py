"""Where records come from: files for now. A source hands out blocks of records with their positions."""
