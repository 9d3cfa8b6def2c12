"""What it means: folds of a prepared or simulated run into the numbers that people read."""
