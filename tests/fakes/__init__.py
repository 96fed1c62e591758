"""Stand-ins for what the service talks to; typed against its protocols."""
