"""The edge to bytewax, processes, clocks and disks: adapters around the pure core."""
