"""The parts that a sandbox is made of, one file each."""
