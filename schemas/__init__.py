"""Words and shapes: what every part of Pathline agrees on. Imports nothing of ours."""
