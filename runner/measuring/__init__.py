"""One block: its processes, what runs in them, and what is measured next."""
