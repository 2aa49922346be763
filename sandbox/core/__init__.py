"""What every other room rests on: errors, conditions, processes, folders. Imports nothing of the product."""
