"""The contract between a waiting task and its trigger: parameters, deadlines, events, and the two pollers."""
