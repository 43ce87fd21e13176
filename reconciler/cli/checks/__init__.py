"""What ``doctor`` looks at, one module for each thing; the commands that do something need none of it."""
