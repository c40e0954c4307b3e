"""The command line: options, help and errors.  What commands do lies in the modules beside this one.

Those are imported when a command runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import errno
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import click

from dagnet.errors import DagnetError

__all__ = ["main"]

FIT = ("optimizer", "learning_rate", "epochs", "batch_size", "l2")
OF_ONE_FIT = {"out", "test", "validation", "early_stopping", "checkpoint", "resume", "distributed", "blocks"}
FILE = click.Path(path_type=Path, dir_okay=False)
with_default = partial(click.option, show_default=True)
THREADS = click.option("--threads", type=int, help="How many threads to use.  [default: all]")


class Commands(click.Group):
    """A group whose commands report what dagnet refuses as one line, and exit with 1."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        with warnings.catch_warnings():
            warnings.showwarning = partial(_show_warning, set())
            try:
                return super().invoke(ctx)
            except DagnetError as error:
                notes = "".join(f"; {note}" for note in getattr(error, "__notes__", ()))
                raise click.ClickException(f"{error}{notes}") from None
            except OSError as error:
                if error.errno == errno.EPIPE:
                    raise
                place = f"{error.filename}: " if error.filename else ""
                raise click.ClickException(f"{place}{error.strerror or error}") from None


def _show_warning(said: set[str], message: Warning | str, *_where: object, **_more: object) -> None:
    """Each but once: a command may build a network twice."""
    if str(message) not in said:
        click.echo(f"Warning: {message}", err=True)
    said.add(str(message))


def _attributes(_ctx: object, _param: object, pairs: tuple[str, ...]) -> dict[str, str | None]:
    if not all("=" in pair for pair in pairs):
        raise click.BadParameter("write WORD=NAME, such as activation=act, or WORD= to leave it unread")
    return {word: name or None for word, _, name in (pair.partition("=") for pair in pairs)}


JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
NULL = click.Choice(["labels", "node"])
WAYS = click.Choice(["refuse", "drop", "skip", "median", "mean"])
missing = partial(with_default, "--missing", type=WAYS, default="refuse")
ATTRIBUTES = click.option(
    "--attribute", "attributes", multiple=True, metavar="WORD=NAME", callback=_attributes,
    help="Read a word of dagnet from another attribute of the graph, such as activation=act; WORD= leaves "
    "it unread (weight= draws the weights); repeatable.",
)  # fmt: skip


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dagnet", prog_name="dagnet")
def main() -> None:
    """Train a network drawn as a graph, exactly as drawn.

    \b
    dagnet train GRAPH DATA --target COLUMN --out MODEL    learn from a CSV file
    dagnet predict MODEL DATA                              apply what was learned
    dagnet evaluate MODEL DATA                             measure it
    dagnet importance GRAPH DATA --target COLUMN           ask which nodes matter
    dagnet show GRAPH                                      look at it

    GRAPH is a graph in GraphML, GEXF, GML, DOT, JSON, SIF, GMT, OBO, a CSV edge list with the
    columns source,target or parent,child, or a .txt list without a header; DATA is a CSV file with a
    header (separated by commas, semicolons or tabs; - is standard input), whose columns are found by
    the names of the nodes.  No file that is read is ever written to.

    Exit status: 0 for success, 1 where something was refused, 2 for wrong usage.
    """  # noqa: D301 - the control character \b keeps click from reflowing the block


@main.command()
@click.argument("graph", type=FILE)
@click.argument("data", type=FILE)
@click.option(
    "--target", "-t", "targets", multiple=True, metavar="COLUMN",
    help="What to learn: a node and column of that name, or a column of words with a node for each; "
    "repeatable.  [default: the childless nodes]",
)  # fmt: skip
@click.option(
    "--out", "-o", required=True, type=FILE, metavar="MODEL",
    help="Where to write what was learned: a model file (.dagnet), or a graph (.graphml, .json).",
)  # fmt: skip
@click.option(
    "--loss",
    help="What to minimise.  [default: what the graph says; for targets that are 0 or 1, or one of two "
    "words, the binary cross-entropy, for more words cross_entropy, else squared_error]",
)
@with_default("--optimizer", default="adam", help="Also in call form: 'sgd(momentum=0.9)'.")
@click.option("--learning-rate", type=float, help="Instead of the optimizer's own.")
@with_default("--epochs", type=int, default=100, help="Passes over the training rows in all.")
@with_default("--batch-size", type=int, default=32, help="Rows a step.")
@with_default("--seed", type=int, default=0, help="For the split, the weights, the order of rows.")
@with_default("--test", type=float, default=0.2, help="Share of the rows kept apart as a test.")
@click.option(
    "--validation", metavar="SHARE|FILE",
    help="Share of the training rows, or a CSV file, to watch the loss on while training.",
)  # fmt: skip
@click.option(
    "--early-stopping", type=int, metavar="EPOCHS",
    help="Stop after so many epochs without a lower validation loss (without --validation: training loss), "
    "and keep the best.",
)  # fmt: skip
@click.option("--l2", default=0.0, help="Add so much times the sum of the squared weights to the loss.")
@missing(
    help="Of empty cells: refuse them, drop the row, skip targets' (no label, no loss), or put the middle of "
    "the training rows into inputs, which stays in the written network.",
)  # fmt: skip
@with_default("--activation", default="relu", help="Of hidden nodes that do not say theirs.")
@click.option("--raw", is_flag=True, help="Do not standardise the inputs on the training rows.")
@click.option(
    "--prepare", is_flag=True,
    help="Fit the graph to the columns and --target first: turn it round if it is upside down, leave out "
    "what no column leads to or what leads to no target, and print what was done.",
)  # fmt: skip
@click.option("--checkpoint", type=FILE, help="Write the state of the run to this file after each epoch.")
@click.option(
    "--resume", type=FILE,
    help="Go on from this checkpoint, to the same bits as without the interruption.  With the same file as "
    "--checkpoint the command may be started again and again.",
)  # fmt: skip
@click.option(
    "--distributed", is_flag=True,
    help="Share each step among the processes of 'torchrun --nproc-per-node 2 -m dagnet train …', of which "
    "the first alone prints and writes (needs dagnet-torch).",
)  # fmt: skip
@click.option("--blocks", type=int, help="Cut a batch so: the same bits in each number that divides it.")
@ATTRIBUTES
@JSON
@THREADS
def train(graph: Path, data: Path, **options: Any) -> None:
    """Train a network on a CSV file.

    Every input node needs a column of its name; further columns are ignored.  Inputs are
    standardised on the training rows; mean and scale stay in the written network, so that it
    predicts on raw data.  Ctrl-C stops at the end of the batch and still writes what was
    learned; twice, it stops at once.

    \b
    dagnet train pathway.graphml cells.csv --target apoptosis --out trained.graphml
    """  # noqa: D301 - as above
    from dagnet.cli.training import Request, train_from_files  # noqa: PLC0415 - keeps --help fast

    fit = {name: options.pop(name) for name in FIT}
    train_from_files(Request(graph=graph, data=data, fit=fit, **options))


@main.command(params=[option for option in train.params if option.name not in OF_ONE_FIT])
@with_default("--seeds", type=int, default=10, help="How many trained networks an average.")
@with_default("--shuffles", type=int, default=99, help="How many averages under the null.")
@with_default("--null", type=NULL, default="labels", help="Shuffle targets, or a node's own inputs.")
@with_default("--method", default="deeplift", help="Of attribution, such as 'knockout'.")
@click.option("--of", metavar="NODE", help="The output that is meant, where there are several.")
@click.option("--out", "-o", type=FILE, metavar="TABLE", help="Write all nodes to this CSV file.")
def importance(graph: Path, data: Path, **options: Any) -> None:
    """Say which nodes matter, and whether that is more than chance.

    Trains networks of the graph, from new random starts, on all rows and on shuffled ones; prints the nodes
    that stand out, what the ranks are worth, and a paragraph for a methods section.
    """
    from dagnet.cli.training import Request, importance_of_files  # noqa: PLC0415 - keeps --help fast

    asked = {name: options.pop(name) for name in ("seeds", "shuffles", "null", "method", "of")}
    fit = {name: options.pop(name) for name in FIT}
    importance_of_files(Request(graph=graph, data=data, fit=fit, **options), asked)


@main.command()
@click.argument("model", type=FILE)
@click.argument("data", type=FILE)
@click.option("--out", "-o", type=FILE, help="Write to this file.  [default: -, standard output]")
@THREADS
def predict(model: Path, data: Path, out: Path | None, threads: int | None) -> None:
    """Predict the rows of a CSV file.

    Writes CSV with one column a target and one line a row of DATA; where the target was words,
    then the column "class of TARGET" with the more probable one.  A name or word that begins with
    = + - @, a formula in spreadsheets, is written with an apostrophe before it, and found so, too.

    The losses with logits predict probabilities, poisson predicts rates.
    """
    from dagnet.cli.applying import predict_file  # noqa: PLC0415 - keeps --help fast

    predict_file(model, data, None if str(out) == "-" else out, threads)


@main.command()
@click.argument("model", type=FILE)
@click.argument("data", type=FILE)
@missing(
    help="Of empty cells: refuse them, drop the row, skip targets', or put the middle of these rows into "
    "inputs for which the network has none from training.",
)  # fmt: skip
@JSON
@THREADS
def evaluate(
    model: Path, data: Path, threads: int | None, missing: str, as_json: bool  # noqa: FBT001
) -> None:  # fmt: skip
    """Measure predictions on a CSV file.

    Prints the loss, and accuracy and AUC or R²; DATA has columns for the targets, too.
    """
    from dagnet.cli.applying import evaluate_file  # noqa: PLC0415 - keeps --help fast

    evaluate_file(model, data, threads, missing, as_json=as_json)


@main.command()
@click.argument("graph", type=FILE)
@ATTRIBUTES
def show(graph: Path, attributes: dict[str, str | None]) -> None:
    """Print what a network is, and the program that it compiles to."""
    from dagnet.cli.applying import show_file  # noqa: PLC0415 - keeps --help fast

    show_file(graph, attributes)


@main.group(invoke_without_command=True)
@click.pass_context
def plugins(ctx: click.Context) -> None:
    """List all plugins, and where they come from."""
    if ctx.invoked_subcommand is None:
        from dagnet.cli.plugins import list_plugins  # noqa: PLC0415 - keeps --help fast

        list_plugins()


@plugins.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME|DISTRIBUTION...")
def check(names: tuple[str, ...]) -> None:
    """Run the conformance kit on plugins, named or all of a distribution.

    Exit status 1 if a check fails; the kit for test suites is dagnet.testing.
    """
    from dagnet.cli.plugins import check_plugins  # noqa: PLC0415 - keeps --help fast

    if not check_plugins(names):
        raise SystemExit(1)
