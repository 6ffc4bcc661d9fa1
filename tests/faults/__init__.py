"""What goes wrong: killed processes, full disks, damaged files; and the harness that looks for the rest by itself."""
