"""Training of classifiers: cross entropy on mixed clips, and distillation from another classifier."""
