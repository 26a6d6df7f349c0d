"""From structures to neutral tensors: models, predictions, their uncertainty, and warnings."""
