"""A whole table of prompts as one task: rows, what the folder remembers of them, and the loop."""
