"""The parts that a sandbox is made of, one file each: here those of several engines, and a folder for those of one."""
