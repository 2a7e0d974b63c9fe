"""The data: which tables there are, how they are written and read, and where photographs come from."""
