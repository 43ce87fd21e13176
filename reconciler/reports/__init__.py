"""Values in, text out: what people and programs read. Nothing here prints, and nothing here decides."""
