"""The local server of a model on pictures: the same answer as predict, and hostile files are 422."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient

from shapes import NAMES, as_image, shape_picture
from soundfit.artifact.picture_predictor import build_picture_predictor
from soundfit.models.conv import build_picture_net
from soundfit.records import Config
from soundfit.serve import app as app_module
from soundfit.serve.pictures import MOST_PICTURE_BYTES


@pytest.fixture(scope="module")
def predictor():
    torch.manual_seed(0)
    config = Config(model="cnn", width=4, depth=1)
    states = [build_picture_net(config, (16, 16, 1), 3).state_dict() for _ in range(2)]
    return build_picture_predictor(
        config, states, shape=(16, 16, 1), scales=(), task="classification", target="class", classes=NAMES
    )


@pytest.fixture(scope="module")
def client(predictor, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app_module, "load_predictor", lambda run: predictor)
        run = tmp_path_factory.mktemp("run")
        (run / "run.json").write_text('{"schema": 1, "verdict": {"text": "good <fit>"}}')
        app = app_module.make_app(run)
    with TestClient(app) as made:
        yield made


def _file(kind="PNG", size=16, channels=1):
    stream = io.BytesIO()
    as_image(shape_picture(1, np.random.default_rng(3), size, channels)).save(stream, kind)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF"])
@pytest.mark.parametrize(("size", "channels"), [(16, 1), (70, 3)])
def test_a_picture_is_answered_as_the_command_predicts_it(client, predictor, tmp_path, kind, size, channels):
    content = _file(kind, size, channels)
    path = tmp_path / f"picture.{kind.lower()}"
    path.write_bytes(content)
    expected = predictor.predict(str(path)).iloc[0]
    answer = client.post("/predict", content=content)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told["prediction"] == expected["prediction"]
    for name, share in told["probabilities"].items():
        assert share == pytest.approx(expected[f"probability_{name}"], abs=1e-6)


def _bomb(width, height):
    """A PNG of a few hundred bytes that says it has so many pixels."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"\0" * 9999))
        + chunk(b"IEND", b"")
    )


HOSTILE = {
    "nothing": (b"", "empty"),
    "a text": (b"hello", "no picture"),
    "a page": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no picture"),
    "a head alone": (b"\x89PNG\r\n\x1a\n", "however"),
    "half a file": (_file(size=70)[:200], "however"),
    "PostScript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "no picture"),
    "a bomb for us": (_bomb(8_000, 8_000), "pixels"),
    "a bomb for Pillow": (_bomb(60_000, 60_000), "pixels"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_picture_is_422_in_words(client, name):
    content, words = HOSTILE[name]
    answer = client.post("/predict", content=content)
    assert answer.status_code == 422
    assert words in answer.json()["detail"]


def test_a_form_is_told_how_to_send_the_file(client):
    answer = client.post("/predict", files={"file": ("p.png", _file(size=20), "image/png")})
    assert answer.status_code == 422
    assert "--data-binary" in answer.json()["detail"]


def test_80_mutated_files_never_crash_the_server(client):
    rng = np.random.default_rng(0)
    for i in range(80):
        content = bytearray(_file(["PNG", "JPEG", "GIF", "TIFF", "WEBP"][i % 5], 40))
        for _ in range(rng.integers(1, 6)):
            content[rng.integers(len(content))] = rng.integers(256)
        answer = client.post("/predict", content=bytes(content[: rng.integers(1, len(content) + 1)]))
        assert answer.status_code in (200, 422), answer.text
        assert "Traceback" not in answer.text


def test_bodies_are_bounded(client):
    assert client.post("/predict", content=b" " * (MOST_PICTURE_BYTES + 1)).status_code == 413


def test_the_page_labels_its_input_and_needs_no_network(client):
    page = client.get("/").text
    assert "good &lt;fit&gt;" in page
    assert '<label for="file">' in page
    for text in (page, client.get("/docs").text):
        assert "http://" not in text
        assert "https://" not in text
    told = client.get("/model").json()
    assert (told["height"], told["width"], told["channels"]) == (16, 16, 1)
    assert "image/*" in client.get("/openapi.json").text
