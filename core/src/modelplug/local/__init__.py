"""Local models: `TrainableModule`, the engine that is chosen for it, and training."""
