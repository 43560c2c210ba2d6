"""One server for each file of tests."""

import pytest
from studio_servers import running

import amt


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    from amt.studio.settings import ServerSettings

    folder = tmp_path_factory.mktemp("server")
    return ServerSettings(
        has_page=True, history=folder / "history.sqlite", max_running=4, max_queue=2, max_body_bytes=1 << 20, port=0
    )


@pytest.fixture(scope="module")
def client(settings):
    with running(settings) as client:
        yield client


@pytest.fixture(scope="session")
def song():
    return amt.arrange("bossa nova", seed=3, bars=12)
