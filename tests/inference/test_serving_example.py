"""The server of `examples/serving`, over HTTP."""

import json
import urllib.error
import urllib.request

import pytest
from support.networks import one_block, randomize
from support.pictures import BAD
from support.server import classify, load, photo, server

import keras_nasnet

pytest.importorskip("tensorflow", reason="tensorflow is not installed")
pytest.importorskip("litserve", reason="litserve is not installed")


@pytest.mark.slow
def test_clients_batches_and_bad_input(tmp_path):
    model = randomize(one_block(classes=3))
    path = keras_nasnet.export(model, tmp_path / "1", class_names=["cat", "dog", "owl"])
    with server(path) as url:
        answers = classify([photo(seed) for seed in range(3)], url)
        assert [sorted(answer["classes"]) for answer in answers] == [["cat", "dog", "owl"]] * 3
        assert all(abs(sum(answer["scores"]) - 1) < 1e-4 for answer in answers)
        for name, file in BAD.items():
            with pytest.raises(urllib.error.HTTPError, match="400") as refused:
                classify([photo(0), file], url)
            assert "not an image" in refused.value.read().decode(), name
            (after,) = classify([photo(0)], url)
            assert after["classes"] == answers[0]["classes"], "the next request is answered"
        for body in (b"{}", b'{"instances": [{"b64": 3}]}', json.dumps([1]).encode()):
            request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
            with pytest.raises(urllib.error.HTTPError, match="4.."):
                urllib.request.urlopen(request)
        times, lost = load(url, requests=100, clients=8)
    assert (len(times), lost) == (100, 0)
