"""Reports of jobs that are finished, by a worker or by the triggerer: XComs, cost and metrics."""
