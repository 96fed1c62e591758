"""`workers: N`: starts, watches, signals and drains processes, and answers operators for all of them. Knows no call."""
