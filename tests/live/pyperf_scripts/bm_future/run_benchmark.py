raise SystemExit("not for this Python")
