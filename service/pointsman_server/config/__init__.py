"""What is configured: one strict schema, one loader."""
