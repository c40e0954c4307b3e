"""Files are written whole or not at all."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading

import pytest
from data.safe_files import (
    listed,
    small_network,
)

import dagnet
from dagnet.files import atomically


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "net.dagnet"
    small_network().save(path)
    return path


def test_a_failure_while_writing_leaves_the_old_file_and_no_litter(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), atomically(path) as stream:
        stream.write(b"new" + bytes(1 // 0))
    assert path.read_bytes() == b"old"
    assert listed(tmp_path) == ["f"]


def test_nothing_is_seen_before_the_end(tmp_path):
    path = tmp_path / "f"
    with atomically(path) as stream:
        stream.write(b"new")
        stream.flush()
        assert not path.exists()
    assert path.read_bytes() == b"new"


@pytest.mark.skipif(not pathlib.Path("/dev/fd").exists(), reason="needs names for open files")
def test_a_pipe_by_its_name_is_written_to():
    source, sink = os.pipe()
    try:
        with atomically(f"/dev/fd/{sink}") as stream:
            stream.write(b"new")
        assert os.read(source, 9) == b"new"
    finally:
        os.close(source)
        os.close(sink)


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "folder").mkdir()
    target, link = tmp_path / "folder" / "real", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to("folder/real")
    small_network().save(link)
    assert link.is_symlink()
    assert target.read_bytes() == link.read_bytes() != b"old"
    dangling = tmp_path / "dangling"
    dangling.symlink_to("folder/new")
    small_network().save(dangling)
    assert dangling.is_symlink()
    assert (tmp_path / "folder" / "new").exists()


@pytest.mark.parametrize("hops", [["link"], ["other", "link"]])
def test_a_link_that_leads_back_to_itself_is_refused_and_stays(tmp_path, hops):
    for name, to in zip(["link", *hops], hops, strict=False):
        (tmp_path / name).symlink_to(to)
    with pytest.raises(OSError, match="link"):
        small_network().save(tmp_path / "link")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted({"link", *hops})
    assert all((tmp_path / name).is_symlink() for name in hops)


def test_permissions_are_kept_and_new_files_obey_the_umask(tmp_path):
    path = tmp_path / "f"
    before = os.umask(0o027)
    try:
        small_network().save(path)
        assert path.stat().st_mode & 0o7777 == 0o640
        path.chmod(0o4606)
        small_network().save(path)
        assert path.stat().st_mode & 0o7777 == 0o606
    finally:
        os.umask(before)


@pytest.fixture
def somebody(tmp_path):
    """A folder of a user who may not write everything, and for the time of the test that user."""
    folder = pathlib.Path(tempfile.mkdtemp())
    is_root = os.geteuid() == 0
    if is_root:
        os.chown(folder, 65534, 65534)
        os.seteuid(65534)
    yield folder
    if is_root:
        os.seteuid(0)
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_read_only_files_and_folders_are_the_systems_error(somebody):
    path, net = somebody / "n", small_network()
    net.save(path)
    before = path.read_bytes()
    path.chmod(0o444)
    with pytest.raises(PermissionError):
        net.save(path)
    path.chmod(0o644)
    somebody.chmod(0o555)
    with pytest.raises(PermissionError):
        net.save(path)
    assert path.read_bytes() == before
    path.chmod(0o000)
    with pytest.raises(PermissionError):
        dagnet.load(path)


@pytest.mark.skipif(not pathlib.Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_device_is_written_to_not_replaced():
    with pytest.raises(OSError, match="No space left"):
        small_network().save("/dev/full")
    small_network().save(os.devnull)
    assert not pathlib.Path(os.devnull).is_file()


def test_a_full_disk_is_the_systems_error_and_the_old_file_stays(tmp_path, saved):
    before = saved.read_bytes()
    code = """
import resource, signal, sys, dagnet
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try: dagnet.Network(dagnet.layered([9, 9, 1])).save(sys.argv[1])
except OSError as error: print(type(error).__name__, error.errno)
"""
    done = subprocess.run([sys.executable, "-c", code, saved], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("OSError")
    assert saved.read_bytes() == before
    assert listed(tmp_path) == [saved.name]


def test_no_such_folder_and_a_folder_in_the_way_are_the_systems_errors(tmp_path):
    with pytest.raises(FileNotFoundError):
        small_network().save(tmp_path / "no" / "n")
    with pytest.raises(IsADirectoryError):
        small_network().save(tmp_path)
    for path in ("", 3, None, "a\0b"):
        with pytest.raises(dagnet.DataError, match="path must be the name of a file"):
            small_network().save(path)


def test_writers_at_once_leave_one_whole_file(tmp_path):
    path = tmp_path / "n"
    nets = [small_network() for _ in range(4)]
    for number, net in enumerate(nets):
        net.biases["y"] = float(number)

    def work(net):
        for _ in range(10):
            net.save(path)
            dagnet.load(path)

    threads = [threading.Thread(target=work, args=(net,)) for net in nets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert dagnet.load(path).biases["y"] in range(4)
    assert listed(tmp_path) == ["n"]


def test_a_folder_that_is_not_there_is_an_error_about_the_file_asked_for(tmp_path):
    path = tmp_path / "nowhere" / "net.dagnet"
    with pytest.raises(FileNotFoundError) as caught:
        small_network().save(path)
    assert caught.value.filename == str(path)
