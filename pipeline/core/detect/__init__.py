"""Drop-off spikes: what was expected of a step, and when it is not chance any more."""
