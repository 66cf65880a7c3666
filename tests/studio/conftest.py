from __future__ import annotations

import threading
import time

import pytest

from otoscope.datasets import load_dataset
from otoscope.studio import Workspace
from prototype_worlds import tone_network, write_tones
from studio_worlds import TOKEN, Client


@pytest.fixture(scope="session")
def tones(tmp_path_factory):
    """A network of three tones with two prototypes each, and the folder of its clips."""
    folder = write_tones(tmp_path_factory.mktemp("tones"))
    model, _ = tone_network(folder)
    model.name = "tones"
    return model, folder


@pytest.fixture
def workspace(tones, tmp_path):
    """The network, half of the clips for training, half for validation."""
    model, folder = tones
    made = Workspace(model, load_dataset("folder", folder).parts(validation=[2]), tmp_path / "studio")
    yield made
    made.close()


@pytest.fixture
def serving():
    """`serving(workspace)`: a client of a studio that listens until the test ends."""
    uvicorn = pytest.importorskip("uvicorn", reason="needs the extra studio")
    pytest.importorskip("fastapi", reason="needs the extra studio")
    from otoscope.studio import create_app
    from otoscope.studio.server import listen

    servers = []

    def start(workspace):
        bound = listen(0)
        port = bound.getsockname()[1]
        config = uvicorn.Config(create_app(workspace, TOKEN, port), log_level="critical", access_log=False)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        servers.append((server, thread, bound))
        return Client(port)

    yield start
    for server, thread, bound in servers:
        server.should_exit = True
        thread.join(10)
        bound.close()


@pytest.fixture
def client(serving, workspace):
    """A client of a studio with the three tones."""
    return serving(workspace)
