"""What `sdaie ui` refuses before anything starts; what it serves is seen in tests/end_to_end/test_ui.py."""

import socket
from pathlib import Path

import pytest

from pipelines.cli import main
from pipelines.ui import HOST, _only_ui
from warehouse.home import Home


def test_a_port_in_use_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        port = other.getsockname()[1]
        assert exit_code(monkeypatch, tmp_path / "home", port) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"sdaie: port {port} cannot be had (Address already in use): ")
    assert said.count("\n") == 1
    assert not (tmp_path / "home").exists()


def test_a_home_has_one_ui(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with _only_ui(Home(tmp_path)):
        assert exit_code(monkeypatch, tmp_path, free_port()) == 1
    assert capsys.readouterr().err == f"sdaie: {tmp_path} has a UI already: use it, or stop it first\n"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def exit_code(monkeypatch: pytest.MonkeyPatch, home: Path, port: int) -> object:
    monkeypatch.setattr("sys.argv", ["sdaie", "--home", str(home), "ui", "--port", str(port)])
    monkeypatch.setenv("SDAIE_HOME", str(home))
    with pytest.raises(SystemExit) as stopped:
        main()
    return stopped.value.code
