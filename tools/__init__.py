"""Scripts of the repository: never part of a distribution, never imported by one."""
