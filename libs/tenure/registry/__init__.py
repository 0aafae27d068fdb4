"""Trained models, the manifests beside their weights, gates and aliases."""
