"""Pure transforms of batches of pictures."""
