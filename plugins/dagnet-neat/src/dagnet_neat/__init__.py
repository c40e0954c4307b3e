"""Genomes of neat-python as graphs: evolve a topology, train it by gradient, write it back."""

from dagnet_neat.activations import dagnet_activations
from dagnet_neat.aggregations import dagnet_aggregations
from dagnet_neat.files import from_json
from dagnet_neat.genomes import from_genome, to_genome

__all__ = ["dagnet_activations", "dagnet_aggregations", "from_genome", "from_json", "to_genome"]
