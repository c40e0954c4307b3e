"""Files, read by Pillow and as bytes; and what importing the plugin costs."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import dagnet
from dagnet.drawing import NEGATIVE, POSITIVE


@pytest.fixture(scope="module")
def net():
    made = dagnet.Network(dagnet.layered([2, 3, 1]), seed=0)
    for place, edge in enumerate(made.edges):
        made.weights[edge] = (-1) ** place
    return made


def written(net, path):
    net.export(path)
    return path.read_bytes()


def near(pixels, colour):
    """How many pixels have about a colour, drawn at an opacity of 0.9."""
    wanted = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) * 0.9 + 25.5
    return int((np.abs(pixels.astype(float) - wanted).max(axis=2) < 12).sum())


def test_a_png_is_a_picture_with_both_colours(net, tmp_path):
    with Image.open(io.BytesIO(written(net, tmp_path / "net.png"))) as picture:
        assert picture.format == "PNG"
        pixels = np.asarray(picture.convert("RGB"))
    assert pixels.shape[0] > 200
    assert pixels.shape[1] > 400
    assert (pixels[0] == 255).all()
    assert (pixels[:, -1] == 255).all()
    assert near(pixels, POSITIVE) > 200
    assert near(pixels, NEGATIVE) > 200


def test_a_positive_network_has_nothing_orange(net, tmp_path):
    positive = dagnet.Network(net.to_networkx())
    positive.parameters = np.ones_like(positive.parameters)
    with Image.open(io.BytesIO(written(positive, tmp_path / "net.png"))) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert near(pixels, NEGATIVE) == 0 < near(pixels, POSITIVE)


def test_a_pdf_has_head_and_tail_and_truetype_letters(net, tmp_path):
    data = written(net, tmp_path / "net.pdf")
    assert data.startswith(b"%PDF-1.")
    assert data.rstrip().endswith(b"%%EOF")
    assert b"/TrueType" in data or b"/CIDFontType2" in data
    assert b"/Type3" not in data
    assert b"CreationDate" not in data


@pytest.mark.parametrize("suffix", [".png", ".pdf"])
def test_the_same_network_gives_the_same_bytes(net, tmp_path, suffix):
    assert written(net, tmp_path / f"a{suffix}") == written(net, tmp_path / f"b{suffix}")


@pytest.mark.parametrize("sizes", [[1] * 400, [200, 2, 200]])
def test_a_long_or_a_high_network_stays_within_bounds(tmp_path, sizes):
    net = dagnet.Network(dagnet.layered(sizes), seed=0)
    with Image.open(io.BytesIO(written(net, tmp_path / "net.png"))) as picture:
        assert picture.width * picture.height <= 41e6
        assert max(picture.size) <= 30_001


def test_finding_the_plugin_does_not_import_matplotlib():
    script = (
        "import sys, dagnet, dagnet_matplotlib as m; m.dagnet_exporters(); assert 'draw' in dir(m)\n"
        "assert not any(name.split('.')[0] == 'matplotlib' for name in sys.modules)\n"
        "m.draw(dagnet.Network(dagnet.layered([1, 1]), seed=0))\n"
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
