"""Where results go. Knows the words of `schemas` and nothing of the pipeline or its runtime."""
