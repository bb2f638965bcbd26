"""The engine of one grouping factor without a fixed part."""
