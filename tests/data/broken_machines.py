"""For each check of optimizers, engines and exporters, plugins that break what it is named for."""

import itertools
import sys
import threading
import time
from dataclasses import dataclass
from typing import ClassVar

import networkx as nx
import numpy as np

from dagnet import Exporter, Optimizer, exporters
from dagnet.contracts import Runner, Unsupported
from dagnet.engine.reference import ReferenceEngine

counter = itertools.count()

# -- optimizers ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Descent(Optimizer):
    """What the broken ones break."""

    name: ClassVar[str] = "descent"
    learning_rate: float = 0.01

    def update(self, parameter, gradient, state, step, learning_rate):
        return parameter - learning_rate * gradient, state


@dataclass
class Thawed(Optimizer):
    name: ClassVar[str] = "thawed"
    learning_rate: float = 0.01
    update = Descent.update


class MovesAll(Descent):
    """Reaches through its caller to the network."""

    def step(self, parameters, gradient, state, *, step, learning_rate):
        super().step(parameters, gradient, state, step=step, learning_rate=learning_rate)
        frame = sys._getframe()
        while (frame := frame.f_back) is not None:
            model = getattr(frame.f_locals.get("self"), "model", None)
            if model is not None:
                model.parameters[:] -= 0.1
                return


class Doubles(Descent):
    state_names: ClassVar = ("memory",)

    def start(self, parameters):
        return {"memory": np.zeros(len(parameters))}

    def update(self, parameter, gradient, state, step, learning_rate):
        return parameter - learning_rate * gradient, {"memory": gradient}


class Scribbles(Descent):
    def step(self, parameters, gradient, state, *, step, learning_rate):
        gradient *= learning_rate
        parameters -= gradient


class Replaces(Descent):
    def step(self, parameters, gradient, state, *, step, learning_rate):
        parameters = parameters - learning_rate * gradient


class Normalised(Descent):
    def update(self, parameter, gradient, state, step, learning_rate):
        return parameter - learning_rate * gradient / np.sqrt(np.mean(gradient * gradient)), state


class Remembers(Descent):
    last: ClassVar = {}

    def step(self, parameters, gradient, state, *, step, learning_rate):
        before = self.last.get(id(self), 0)
        self.last[id(self)] = gradient.copy()
        parameters -= learning_rate * (gradient + 0.9 * before)


class Uphill(Descent):
    def update(self, parameter, gradient, state, step, learning_rate):
        return parameter + learning_rate * gradient, state


class Unpicklable(Descent):
    def __reduce_ex__(self, protocol):
        raise TypeError("not me")


OPTIMIZERS = {
    "check_it_is_a_frozen_dataclass_with_defaults": [Thawed],
    "check_frozen_parameters_keep_their_bits": [MovesAll],
    "check_dtypes_are_preserved": [Doubles],
    "check_the_gradient_is_not_written": [Scribbles],
    "check_the_parameters_are_changed_in_place": [Replaces],
    "check_the_result_does_not_depend_on_how_the_vector_is_split": [Normalised],
    "check_all_its_memory_is_in_the_state": [Remembers],
    "check_it_goes_downhill": [Uphill],
    "check_it_can_be_pickled": [Unpicklable],
    "check_it_can_be_copied": [Unpicklable],
}

# -- engines ---------------------------------------------------------------------------------


class Wrapped(Runner):
    """A runner around the reference's; subclasses break one thing."""

    def __init__(self, plan, dtype, threads):
        self.inner = ReferenceEngine().prepare(plan, dtype=dtype, threads=threads)
        self.plan, self.threads = plan, threads

    def forward(self, theta, inputs, *, keep=True, reuse=None):
        return self.inner.forward(theta, inputs)

    def backward(self, theta, state, output_gradient, *, into):
        self.inner.backward(theta, state, output_gradient, into=into)


class ForwardOff(Wrapped):
    def forward(self, theta, inputs, *, keep=True, reuse=None):
        state = self.inner.forward(theta, inputs)
        state.a[self.plan.outputs] *= 1 + 1e-6 if state.a.dtype == np.float64 else 1.01
        return state


class DoublesInside(Wrapped):
    def forward(self, theta, inputs, *, keep=True, reuse=None):
        state = self.inner.forward(theta, inputs)
        state.a = state.a.astype(np.float64)
        return state


class AddsInto(Wrapped):
    def backward(self, theta, state, output_gradient, *, into):
        before = into.copy()
        self.inner.backward(theta, state, output_gradient, into=into)
        into += before


class DeltaOff(Wrapped):
    def backward(self, theta, state, output_gradient, *, into):
        self.inner.backward(theta, state, output_gradient, into=into)
        state.d[-1] += 0.001


class AllDerivatives(Wrapped):
    def backward(self, theta, state, output_gradient, *, into):
        self.inner.backward(theta, state, output_gradient, into=into)
        into[~self.plan.needs_gradient] = 1.0


class WholePlansOnly(Wrapped):
    def forward(self, theta, inputs, *, keep=True, reuse=None):
        state = self.inner.forward(theta, inputs)
        if self.plan.unit_ids is not None:
            state.a[self.plan.outputs] += 1
        return state


class RowsCoupled(Wrapped):
    def forward(self, theta, inputs, *, keep=True, reuse=None):
        state = self.inner.forward(theta, inputs)
        if len(inputs) > 100:
            state.a[:, :1] = state.a[:, -1:]
        return state


class Unsteady(Wrapped):
    def forward(self, theta, inputs, *, keep=True, reuse=None):
        state = self.inner.forward(theta, inputs)
        state.a *= 1 + 1e-15 * (next(counter) % 3)
        return state


class WritesInputs(Wrapped):
    def forward(self, theta, inputs, *, keep=True, reuse=None):
        state = self.inner.forward(theta, inputs)
        inputs[0] = 0
        return state


class WritesPull(Wrapped):
    def backward(self, theta, state, output_gradient, *, into):
        self.inner.backward(theta, state, output_gradient, into=into)
        output_gradient *= 2


class OneBuffer(Wrapped):
    def forward(self, theta, inputs, *, keep=True, reuse=None):
        state = self.inner.forward(theta, inputs)
        old = self.__dict__.setdefault("state", state)
        if old is not state and old.a.shape == state.a.shape:
            old.held[...] = state.outputs
            state.held = old.held
        else:
            state.held = state.outputs
        return Held(state)


class Held:
    """A state that hands out its own memory."""

    def __init__(self, state):
        self.__dict__.update(state=state, outputs=state.held)

    def __getattr__(self, name):
        return getattr(self.state, name)


class LeanDiffers(Wrapped):
    def forward(self, theta, inputs, *, keep=True, reuse=None):
        state = self.inner.forward(theta, inputs)
        if not keep:
            state.a[self.plan.outputs] *= 1 + 1e-15
        return state


class ReuseDiffers(Wrapped):
    def forward(self, theta, inputs, *, keep=True, reuse=None):
        state = self.inner.forward(theta, inputs)
        if reuse is not None:
            state.a[:, -1] = 0
        return state


class OneAtATime(Wrapped):
    def forward(self, theta, inputs, *, keep=True, reuse=None):
        self.inputs = inputs
        if threading.current_thread() is not threading.main_thread():
            time.sleep(0.0005)
        return self.inner.forward(theta, self.inputs)


class TwoThreadsDiffer(Wrapped):
    def forward(self, theta, inputs, *, keep=True, reuse=None):
        state = self.inner.forward(theta, inputs)
        if self.threads > 1:
            state.a[:, len(inputs) // 2 :] = 0
        return state


class Fused(Wrapped):
    """Three calls as one; subclasses break one thing."""

    def fused_gradient(self, loss):
        def fused(theta, inputs, targets, factor, *, into):
            state = self.inner.forward(theta, inputs)
            pull = loss.row_gradients(state.outputs, targets) * factor[:, None]
            self.inner.backward(theta, state, pull.astype(theta.dtype), into=into)
            value = float(np.dot(loss.row_values(state.outputs, targets).astype(float), factor))
            return self.off(value, into)

        return fused

    def off(self, value, into):
        return value, None


class FusedGradientOff(Fused):
    def off(self, value, into):
        into *= 1.001
        return value, None


class FusedLossOff(Fused):
    def off(self, value, into):
        return value + 0.01, None


class FusedBoundOff(Fused):
    def off(self, value, into):
        return value, 0.9 * float(np.dot(into.astype(float), into))


class BrokenEngine(ReferenceEngine):
    """The reference engine with another runner, or another attribute."""

    def __init__(self, runner=Wrapped, **attributes):
        self.runner, self.__dict__["name"] = runner, "broken"
        self.__dict__.update(attributes)

    def prepare(self, plan, *, dtype, threads):
        return self.runner(plan, np.dtype(dtype), threads)


def unsupported(plan, *, dtype, threads):
    raise Unsupported("nothing at all")


def half_step(optimizer, *, dtype, threads):
    def step(parameters, gradient, state, *, step, learning_rate):
        optimizer.step(parameters, gradient, state, step=step, learning_rate=learning_rate / 2)

    return step


ENGINES = {
    "check_it_says_its_name_priority_and_whether_it_can_run": [
        BrokenEngine(name="no identifier"),
        BrokenEngine(unavailable=lambda: ""),
        BrokenEngine(unavailable=lambda: "no such machine"),
    ],
    "check_the_forward_pass_agrees_with_the_reference": [
        BrokenEngine(ForwardOff),
        BrokenEngine(DoublesInside),
        BrokenEngine(prepare=unsupported),
    ],
    "check_the_backward_pass_agrees_with_the_reference": [BrokenEngine(AddsInto), BrokenEngine(DeltaOff)],
    "check_what_is_not_asked_for_is_zero": [BrokenEngine(AllDerivatives)],
    "check_parts_of_a_network_run_on_their_own": [BrokenEngine(WholePlansOnly)],
    "check_rows_do_not_depend_on_each_other": [BrokenEngine(RowsCoupled)],
    "check_the_same_call_gives_the_same_bits": [BrokenEngine(Unsteady)],
    "check_the_arguments_are_not_written": [BrokenEngine(WritesInputs), BrokenEngine(WritesPull)],
    "check_results_belong_to_the_caller": [BrokenEngine(OneBuffer)],
    "check_memory_given_away_and_states_not_kept_change_nothing": [
        BrokenEngine(LeanDiffers),
        BrokenEngine(ReuseDiffers),
    ],
    "check_several_threads_may_call_it": [BrokenEngine(OneAtATime)],
    "check_several_threads_of_its_own_agree": [BrokenEngine(TwoThreadsDiffer)],
    "check_a_fused_step_is_the_optimizers": [BrokenEngine(fused_step=half_step)],
    "check_a_fused_gradient_is_what_the_calls_give": [
        BrokenEngine(FusedGradientOff),
        BrokenEngine(FusedLossOff),
        BrokenEngine(FusedBoundOff),
    ],
}

# -- exporters -------------------------------------------------------------------------------

json = exporters()["json"]


def writes_nothing(network, stream, observations):
    pass


def closes(network, stream, observations):
    stream.write(b"x")
    stream.close()


def rounds_weights(network, stream, observations):
    network.parameters[:] = np.round(network.parameters, 1)
    json.write(network, stream, observations)


def scribbles_on_rows(network, stream, observations):
    if observations is not None:
        observations.X[:] = 0
    json.write(network, stream, observations)


def reads_rounded(stream):
    graph = json.read(stream)
    for _, _, data in graph.edges(data=True):
        data["weight"] = np.float64(np.float32(data["weight"]))
    return graph


def reads_without_loss(stream):
    graph = json.read(stream)
    del graph.graph["dagnet"]
    return graph


def reads_texts(stream):
    return nx.relabel_nodes(json.read(stream), str)


EXPORTERS = {
    "check_it_writes_a_file": [
        Exporter("nothing", ".nothing", writes_nothing),
        Exporter("closes", ".closes", closes),
    ],
    "check_the_network_is_not_changed": [Exporter("rounds", ".rounds", rounds_weights)],
    "check_the_rows_are_not_written": [Exporter("scribbles", ".scribbles", scribbles_on_rows)],
    "check_its_own_reader_reads_the_same_network": [
        Exporter("rounded", ".rounded", json.write, reads_rounded),
        Exporter("lossless", ".lossless", json.write, reads_without_loss),
    ],
    "check_odd_names_come_back_or_are_refused": [Exporter("texts", ".texts", json.write, reads_texts)],
}
