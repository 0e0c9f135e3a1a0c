"""CSV and Parquet files as source partitions: rows instead of lines, the same blocks."""


class TabularReader:
    def __init__(self, *a):
        raise SystemExit("soon")
