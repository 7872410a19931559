"""The run folder, and one module for each file format that is read or written."""
