"""Evolve XOR with neat-python, train the winner by gradient, write it back into its genome."""

from pathlib import Path

import dagnet_neat
import neat
import numpy as np

import dagnet

X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
y = np.array([0.0, 1.0, 1.0, 0.0])


def error(genome, config):
    """The summed squared error of the four rows, by neat-python."""
    net = neat.nn.FeedForwardNetwork.create(genome, config)
    return sum((net.activate(row)[0] - target) ** 2 for row, target in zip(X.tolist(), y, strict=True))


def evaluate(genomes, config):
    """What neat-python asks for: the fitness of each genome."""
    for _, genome in genomes:
        genome.fitness = 4.0 - error(genome, config)


kinds = (neat.DefaultGenome, neat.DefaultReproduction, neat.DefaultSpeciesSet, neat.DefaultStagnation)
config = neat.Config(*kinds, str(Path(__file__).with_name("xor.ini")))
population = neat.Population(config)
winner = population.run(evaluate, 300)
print(f"evolved in {population.generation} generations, error {error(winner, config):.6f}")

net = dagnet.Network(dagnet_neat.from_genome(winner, config))
print(net.plan)
net.fit(X, y, epochs=500, learning_rate=0.05, shuffle=False, progress=False)
dagnet_neat.to_genome(net, winner)
print(f"trained by gradient, written back, error {error(winner, config):.6f}")
