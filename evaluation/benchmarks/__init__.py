"""What the commands that time things share: timing, the plain way of each fast thing."""
