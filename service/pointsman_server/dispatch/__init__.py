"""Walks a plan: attempts, failover and retry until something is handed to the caller, under one deadline."""
