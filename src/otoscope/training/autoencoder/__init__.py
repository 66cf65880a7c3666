"""Training of autoencoders: pre-trained on sound, or tuned to a frozen classifier."""
