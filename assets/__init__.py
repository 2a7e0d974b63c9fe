"""One thin module a stage: read tables, call `models` or `warehouse`, write tables, return numbers about them."""
