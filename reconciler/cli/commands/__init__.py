"""One module for each command; heavy libraries are imported inside, so that help and completion are quick."""
