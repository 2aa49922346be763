"""The command line: thin Invoke tasks that parse, call and print."""
