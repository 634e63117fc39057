"""What the commands beside ``run`` find out, and how they print it. The command line itself is ``cli``."""
