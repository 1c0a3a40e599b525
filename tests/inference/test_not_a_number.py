"""No result that is not finite is handed on, and none that cannot be."""

from __future__ import annotations

import dataclasses
import io
import zipfile

import numpy as np
import pytest
import torch

from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.inference.classes.probe import LinearProbe, Regression
from napari_umpire.inference.embed import compute_features
from napari_umpire.inference.predictions.direct import DirectPrediction
from napari_umpire.inference.predictions.prediction import Prediction
from napari_umpire.inference.predictions.weights import weights
from napari_umpire.progress import run

from .conftest import save_tiny_model


def changed(prediction, **parts):
    return dataclasses.replace(prediction, **parts)


def put(array, value):
    array = array.copy()
    array[3, 2] = value
    return array


@pytest.mark.parametrize("part", ["similarity", "weight"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_prediction_of_what_is_no_number_is_refused(prediction, part, value):
    with pytest.raises(InputError, match="prediction of query holds.*1 of 300"):
        changed(prediction, **{part: put(getattr(prediction, part), value)})


@pytest.mark.parametrize(
    ("part", "value"), [("indices", 210), ("indices", -1), ("weight", 5.0), ("weight", -0.1)]
)
def test_a_prediction_that_points_nowhere_is_refused(prediction, part, value):
    with pytest.raises(InputError, match="prediction of query is damaged"):
        changed(prediction, **{part: put(getattr(prediction, part), value)})


@pytest.mark.parametrize("scale", [np.nan, np.inf, 0.0, -3.0])
def test_a_scale_that_is_no_factor_is_refused(scale):
    with pytest.raises(InputError, match="scale of similarities"):
        weights(np.zeros((2, 3)), "softmax", scale)


def test_a_kept_prediction_that_was_changed_is_refused(prediction, tmp_path):
    path = prediction.save(tmp_path / "p.npz")
    with np.load(path) as file:
        arrays = dict(file)
    for name, value in (("indices", 10**6), ("weight", np.nan)):
        kept = tmp_path / f"{name}.npz"
        np.savez(kept, **arrays | {name: np.full_like(arrays[name], value)})
        with pytest.raises(InputError):
            Prediction.load(kept)
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("about.npy", bytes(5_000_000))
    (tmp_path / "bomb.npz").write_bytes(bomb.getvalue())
    with pytest.raises(InputError, match="bomb.npz is too large"):
        Prediction.load(tmp_path / "bomb.npz")


def test_decoded_values_are_numbers(prediction):
    values = np.zeros((prediction.n_spots, 2), np.float32)
    panel = prediction.genes.iloc[:2]
    made = (prediction.slide_name, prediction.spots)
    DirectPrediction(*made, values, panel, prediction.record)
    values[4, 1] = np.nan
    with pytest.raises(InputError, match="1 of 50"):
        DirectPrediction(*made, values, panel, prediction.record)


@pytest.fixture
def decoder(slides, tmp_path):
    from napari_umpire.inference.model import load_model

    return load_model(save_tiny_model(tmp_path / "m", slides, decoder=10, alone=True), "cpu")


def test_a_decoder_that_predicts_what_cannot_be_is_refused(decoder, slides):
    with torch.no_grad():
        decoder.module.decoder.mean.fill_(20.0)
    with pytest.raises(InputError, match="values above 9.21, up to"):
        run(decoder.predict(slides[2]))


def test_a_few_decoded_values_beyond_are_cut_with_a_word(decoder, slides):
    intact = run(decoder.predict(slides[2])).values
    network = decoder.module.decoder
    most = torch.from_numpy(intact).amax(0)
    gene = int(torch.argmax(most))
    spot = int(np.argmax(intact[:, gene]))
    with torch.no_grad():
        # Only the highest value of one gene passes 9.21.
        second = np.sort(intact[:, gene])[-2]
        shift = 9.2103 - (intact[spot, gene] + second) / 2
        network.mean[gene] += shift
    with pytest.warns(UmpireWarning, match="1 of .* beyond 9.21"):
        values = run(decoder.predict(slides[2])).values
    assert values.max() == np.float32(np.log1p(10_000))


def test_a_model_of_zeros_has_no_embeddings(model, slides):
    with torch.no_grad():
        for parameter in model.module.visual_projection.parameters():
            parameter.zero_()
    with pytest.raises(InputError, match="has no embedding of .* length 0"):
        run(model.embed_images(slides[2]))


def features(encode, n=5, dim=3, batch_size=2, cut=None):
    def batches(rows):
        for a in range(0, len(rows), 2):
            if cut is not None:
                raise cut
            yield rows[a : a + 2], np.ones((len(rows[a : a + 2]), 4), np.float32)

    device = torch.device("cpu")
    return run(compute_features(n, dim, batches, encode, device=device, batch_size=batch_size))


def test_features_of_another_shape_are_refused():
    with pytest.raises(InputError, match=r"features of shape \(2, 3, 7, 7\)"):
        features(lambda x: torch.ones(len(x), 3, 7, 7))


def test_an_encoder_that_trips_over_its_input_says_so():
    def trips(x):
        raise AssertionError("Input height (48) doesn't match model (224)")

    with pytest.raises(InputError, match="cannot take its input.*height"):
        features(trips)


def test_a_later_fault_and_one_of_the_gpu_are_not_laid_on_the_settings():
    n = 0

    def fails_later(x):
        nonlocal n
        n += 1
        if n == 2:
            raise TypeError("a bug")
        return torch.ones(len(x), 3)

    with pytest.raises(TypeError, match="a bug"):
        features(fails_later)

    def lost(x):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    with pytest.raises(RuntimeError, match="^CUDA error"):
        features(lost)


def test_a_host_without_memory_takes_smaller_batches():
    def tight(x):
        if len(x) > 1:
            raise MemoryError("Unable to allocate 3.64 TiB")
        return torch.ones(len(x), 3)

    assert features(tight).shape == (5, 3)

    def full(x):
        raise MemoryError("Unable to allocate 3.64 TiB")

    with pytest.raises(InputError, match="too little memory for a single spot.*3.64 TiB"):
        features(full)
    with pytest.raises(InputError, match="batch of 2 spots does not fit.*3.64 TiB"):
        features(tight, cut=MemoryError("Unable to allocate 3.64 TiB"))


def test_a_probe_whose_numbers_overflow_names_no_class():
    huge = Regression(np.zeros(2), np.ones(2), np.array([[1e300, 0], [0, 1e300]]), np.zeros(2))
    probe = LinearProbe("p", "image", "m", huge, ("a", "b"), ("#000000", "#ffffff"), 1.0, True)
    with np.errstate(all="ignore"), pytest.raises(InputError, match="probe 'p' holds"):
        probe.apply(np.full((4, 2), 1e10), "image", "m")
