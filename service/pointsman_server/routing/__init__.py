"""Where a call may go and in which order: pure decisions over a view of the fleet. No await, no I/O, no clock."""
