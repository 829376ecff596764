"""Following: streams, cohorts that share them, and where each subscriber stands."""
