"""What Dagster loads and what the command line starts. Computes nothing."""
