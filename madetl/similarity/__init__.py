"""Similarity by asking models: what kind of metric a name means, vectors of embedding models, scores of chat models."""
