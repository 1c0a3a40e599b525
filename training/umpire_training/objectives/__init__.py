"""What training minimises: losses, targets, schedules, and what is changed in a batch."""
