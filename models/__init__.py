"""The science: torch, NumPy and scikit-learn. Knows neither Dagster nor the folders of the warehouse."""
