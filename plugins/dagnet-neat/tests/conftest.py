from pathlib import Path

import dagnet_neat
import pytest

import dagnet

if "neat_sigmoid" not in dagnet.activations():  # not installed, only on the path
    dagnet.register(dagnet_neat)


@pytest.fixture
def config():
    """The configuration of the example, freshly read."""
    neat = pytest.importorskip("neat")
    kinds = (neat.DefaultGenome, neat.DefaultReproduction, neat.DefaultSpeciesSet, neat.DefaultStagnation)
    found = neat.Config(*kinds, str(Path(__file__).parents[1] / "examples" / "xor.ini"))
    found.genome_config.innovation_tracker = neat.innovation.InnovationTracker()
    return found
