"""One script for each change of the schema, in order. A script that was released never changes."""
