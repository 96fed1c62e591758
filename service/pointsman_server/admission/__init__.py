"""Who may call, with what; refuses before anything is spent. Never sees an endpoint."""
