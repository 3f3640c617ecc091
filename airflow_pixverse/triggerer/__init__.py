"""Objects that many waits in the triggerer share: gates, clients, job followers and metrics."""
