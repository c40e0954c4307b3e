"""Networks through their files: written, checked, and run by onnxruntime."""

import io

import numpy as np
import onnx
import onnxruntime

import dagnet


def written(net):
    """The bytes of a network's model."""
    stream = io.BytesIO()
    dagnet.exporters()["onnx"].write(net, stream, None)
    return stream.getvalue()


def session(model):
    """A session, by one thread and without words."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    return onnxruntime.InferenceSession(model, options)


def run(net, X, model=None):
    """By name, what a network's model gives for rows; the model is checked whole."""
    model = model or written(net)
    onnx.checker.check_model(model, full_check=True)
    graph = onnx.load_from_string(model).graph
    read = {name for node in graph.node for name in node.input}
    assert [item.name for item in graph.initializer if item.name not in read] == []
    found = session(model)
    names = [output.name for output in found.get_outputs()]
    return dict(zip(names, found.run(None, {"X": np.asarray(X, net.dtype)}), strict=True))


def close(found, right, dtype):
    """Whether numbers are alike: to 1e-5, or 1e-12 in float64, of the larger of 1 and the number."""
    near = 1e-5 if np.dtype(dtype) == np.float32 else 1e-12
    np.testing.assert_allclose(found, right, rtol=near, atol=near)


def check(net, X, model=None):
    """The outputs and each head's prediction are the network's own."""
    found = run(net, X, model)
    names = [f"predict[{name.encode(errors='backslashreplace').decode()}]" for name in net.heads]
    assert list(found) == ["outputs", *names]
    close(found["outputs"], net(X), net.dtype)
    whole = net.predict(X)
    for name, units in zip(names, net.objective.units, strict=True):
        assert found[name].shape == (len(X), len(units))
        close(found[name], whole[:, units], net.dtype)
    return found
