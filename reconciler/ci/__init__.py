"""What a pipeline tells people: a comment on a plan, an issue for drift, a ping after a check."""
