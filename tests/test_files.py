"""Files and folders are whole or what they were: on a full disk, in a killed process, behind a link."""

import errno
import os
import stat
import subprocess
import sys

import pytest

from amt.errors import AmtError, DiskFullError
from amt.files import (
    GrowingFile,
    alone_in,
    encoding_of,
    explaining_errors,
    new_file,
    new_folder,
    read_regular,
    remove_folder,
    remove_leftovers,
    standing,
    write_atomically,
    writing_tensors,
)
from amt.midi.config import TokenizerConfig
from amt.midi.data import MidiData
from amt.midi.elements import Note
from amt.midi.tokenizer import EventTokenizer
from amt.training.config import TrainConfig


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def write_new(path, text):
    with new_file(path) as stream:
        stream.write(text)


SMALL = {
    "write_atomically": lambda path, number: write_atomically(path, bytes([number]) * 9000),
    "new_file": lambda path, number: write_new(path, bytes([number]) * 9000),
    "MIDI file": lambda path, number: MidiData([Note(i, i + 9, number, 80) for i in range(900)]).save(path),
    "settings": lambda path, number: TokenizerConfig(tempos_bpm=tuple(range(4 + number, 504 + number))).save(path),
}
by_writer = pytest.mark.parametrize("write", SMALL.values(), ids=SMALL.keys())


# Files


@by_writer
def test_a_file_is_the_old_or_the_new_one_wherever_the_process_is_killed(tmp_path, killed, write):
    path = tmp_path / "file"
    write(tmp_path / "new", 2)
    new, number, was_killed, seen = (tmp_path / "new").read_bytes(), 0, True, set()
    (tmp_path / "new").unlink()
    while was_killed:
        number += 1
        write(path, 1)
        old = path.read_bytes()
        was_killed = killed(lambda: write(path, 2), tmp_path, number)
        assert path.read_bytes() in (old, new)
        seen.add(path.read_bytes())
    assert seen == {old, new} and number >= 3
    remove_leftovers(tmp_path)
    assert list(contents(tmp_path)) == ["file"]


@by_writer
def test_a_file_is_the_old_one_where_the_disk_is_full(small_disk, leave_room, write):
    disk = small_disk(1 << 20)
    path = disk / "file"
    write(path, 1)
    old, num_full = path.read_bytes(), 0
    for room in range(0, 16 << 10, 4 << 10):
        leave_room(disk, room)
        try:
            write(path, 2)
        except DiskFullError as error:
            num_full += 1
            assert isinstance(error, (OSError, AmtError)) and error.errno == errno.ENOSPC
            assert str(error).startswith(f"the disk is full: {path} ") and "\n" not in str(error)
            assert path.read_bytes() == old
        assert sorted(contents(disk)) == ["ballast", "file"]
    assert num_full >= 1 and path.read_bytes() != old


def test_the_message_of_a_full_disk_says_how_much_is_needed(small_disk, leave_room):
    disk = small_disk(1 << 20)
    leave_room(disk, 8192)
    with pytest.raises(DiskFullError) as caught:
        write_atomically(disk / "file", bytes(20_000))
    expected = f"the disk is full: {disk}/file needs 20000 bytes, 8192 are free; make room and do the same again"
    assert str(caught.value) == expected


def limited(code, num_bytes, *arguments):
    """Runs code in a process whose files may be so large; what it prints."""
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({num_bytes}, {num_bytes}))\n"
    command = [sys.executable, "-c", limit + code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_a_file_larger_than_may_be_is_one_error(tmp_path):
    (tmp_path / "file").write_text("old")
    code = """
import sys
from pathlib import Path
from amt.files import write_atomically
try:
    write_atomically(Path(sys.argv[1]), bytes(5000))
except OSError as error:
    print(error.errno, error)
"""
    expected = (
        f"{errno.EFBIG} cannot write {tmp_path}/file: File too large; no file may be as large there, by the file system"
        " or by the limit of `ulimit -f`\n"
    )
    assert limited(code, 4096, tmp_path / "file") == expected
    assert contents(tmp_path) == {"file": b"old"}


def test_an_error_inside_leaves_no_trace(tmp_path):
    for is_there in (False, True):
        if is_there:
            (tmp_path / "file").write_text("old")
        with pytest.raises(KeyboardInterrupt), new_file(tmp_path / "file") as stream:
            stream.write(b"half")
            raise KeyboardInterrupt
        assert contents(tmp_path) == ({"file": b"old"} if is_there else {})


def test_a_file_keeps_its_rights(tmp_path):
    write_atomically(tmp_path / "file", b"old")
    mode = stat.S_IMODE((tmp_path / "file").stat().st_mode)
    (tmp_path / "plain").write_text("")
    assert mode == stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    os.chmod(tmp_path / "file", 0o640)
    write_atomically(tmp_path / "file", b"new")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere" / "file")
    for text in (b"first", b"second"):
        write_atomically(tmp_path / "link", text)
        assert (tmp_path / "link").is_symlink() and (tmp_path / "elsewhere" / "file").read_bytes() == text


def test_a_device_is_written_to_and_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_atomically(tmp_path / "pipe", b"music")
    write_new(tmp_path / "pipe", b"more")
    assert os.read(reader, 9) == b"musicmore" and stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    os.close(reader)


@pytest.mark.parametrize("name", ["missing/file", "file/file", ".", "n" * 300])
def test_a_place_that_cannot_be_written_is_one_clear_line(tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"^cannot write .*; name a file in a folder that exists") as caught:
        write_atomically(tmp_path / name, b"music")
    assert "\n" not in str(caught.value) and str(caught.value).count("cannot write") == 1
    assert list(contents(tmp_path)) == ["file"]


def test_an_error_of_another_file_keeps_its_name(tmp_path):
    (tmp_path / "here").mkdir()
    with pytest.raises(FileNotFoundError) as caught, new_file(tmp_path / "here" / "file"):
        (tmp_path / "missing" / "source").read_bytes()
    assert caught.value.filename == str(tmp_path / "missing" / "source")


def test_an_error_is_explained_once(tmp_path):
    with pytest.raises(IsADirectoryError) as caught, new_folder(tmp_path / "folder") as new:
        write_atomically(new, b"")
    assert str(caught.value).count("cannot write") == 1


# Folders


def fill(path, number):
    with new_folder(path) as new:
        for name in ("a", "b"):
            (new / name).write_bytes(bytes([number]) * 5000)
        (new / "below").mkdir()
        (new / "below" / "c").write_bytes(bytes([number]))


def numbers(folder):
    """The number that all files of a folder are of, and how many files there are."""
    files = contents(standing(folder))
    assert {len(set(text)) for text in files.values()} == {1}
    return {text[0] for text in files.values()}, len(files)


def test_a_folder_is_the_old_or_the_new_one_wherever_the_process_is_killed(tmp_path, killed):
    """Also after two kills, at any two places."""
    path, seen = tmp_path / "folder", set()
    fill(path, 1)
    number, was_killed = 0, True
    while was_killed:
        number += 1
        was_killed = killed(lambda: fill(path, 2), tmp_path, number)
        seen.add((path.exists(), *numbers(path)[0]))
        assert numbers(path) in (({1}, 3), ({2}, 3))
        for second in range(1, 26):
            killed(lambda: fill(path, 3), tmp_path, second)
            assert numbers(path) in (({1}, 3), ({2}, 3), ({3}, 3))
        fill(path, 1)
        assert numbers(path) == ({1}, 3)
    assert seen == {(True, 1), (False, 1), (True, 2)}  # it was killed between the two renames, too
    assert 15 < number <= 26
    remove_leftovers(tmp_path)
    assert os.listdir(tmp_path) == ["folder"]


def test_a_folder_stays_what_it_was_where_the_disk_is_full(small_disk, leave_room):
    disk = small_disk(1 << 20)
    fill(disk / "folder", 1)
    num_full = 0
    for room in range(0, 24 << 10, 4 << 10):
        leave_room(disk, room)
        try:
            fill(disk / "folder", 2)
        except DiskFullError as error:
            num_full += 1
            assert str(error).startswith(f"the disk is full: {disk}/folder ")
            assert numbers(disk / "folder") == ({1}, 3)
        assert sorted(os.listdir(disk)) == ["ballast", "folder"]
    assert num_full >= 4 and numbers(disk / "folder") == ({2}, 3)


def test_what_is_put_aside_comes_back_if_the_new_folder_cannot_take_its_place(tmp_path, monkeypatch):
    fill(tmp_path / "folder", 1)
    rename = os.rename

    def fail(source, target):
        if str(source).endswith(".tmp") and os.path.basename(target) == "folder":
            raise PermissionError(errno.EACCES, "Permission denied")
        rename(source, target)

    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(PermissionError, match=r"cannot write .*folder: Permission denied"):
        fill(tmp_path / "folder", 2)
    assert numbers(tmp_path / "folder") == ({1}, 3) and os.listdir(tmp_path) == ["folder"]


def test_a_link_to_a_folder_stays_a_link(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere" / "folder")
    for number in (1, 2):
        fill(tmp_path / "link", number)
        assert (tmp_path / "link").is_symlink() and numbers(tmp_path / "elsewhere" / "folder") == ({number}, 3)
    os.rename(tmp_path / "elsewhere" / "folder", tmp_path / "elsewhere" / ".folder.old")
    assert numbers(tmp_path / "link") == ({2}, 3)
    assert os.listdir(tmp_path / "elsewhere") == [".folder.old"]


def test_the_folder_one_stands_in(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert standing(tmp_path / "none") == tmp_path / "none"
    EventTokenizer().save_pretrained(".")
    assert EventTokenizer.from_pretrained(".").config == TokenizerConfig()


def test_a_removed_folder_is_gone_at_once(tmp_path, killed):
    number, was_killed = 0, True
    while was_killed:
        number += 1
        fill(tmp_path / "folder", 1)
        was_killed = killed(lambda: remove_folder(tmp_path / "folder"), tmp_path, number)
        assert not (tmp_path / "folder").exists() or len(contents(tmp_path / "folder")) == 3
        remove_leftovers(tmp_path)
        remove_folder(tmp_path / "folder")
        assert not os.listdir(tmp_path)
    remove_folder(tmp_path / "folder")  # it need not be there
    assert number > 5


def test_only_leftovers_go(tmp_path):
    fill(tmp_path / "folder", 1)
    for name in (".mine.tmp", ".folder.old", "a.1a2b3c4d.tmp", ".a.1a2b3c4d.tmp.txt", ".a.XXXXXXXX.tmp"):
        (tmp_path / name).write_text("mine")
    before = contents(tmp_path)
    (tmp_path / ".a.1a2b3c4d.tmp").write_text("half")
    (tmp_path / ".b.1a2b3c4d.tmp").mkdir()
    (tmp_path / ".b.1a2b3c4d.tmp" / "c").write_text("half")
    (tmp_path / ".d.1a2b3c4d.tmp").symlink_to(tmp_path / "folder")
    with_leftovers = sorted(os.listdir(tmp_path))
    remove_leftovers(tmp_path, min_age_s=3600)  # another process may still be writing them
    assert sorted(os.listdir(tmp_path)) == with_leftovers
    remove_leftovers(tmp_path)
    assert contents(tmp_path) == before
    remove_leftovers(tmp_path / "missing")


def test_a_new_folder_removes_what_a_killed_process_left_of_it_long_ago(tmp_path):
    names = (".a[b].1a2b3c4d.tmp", ".a[b].1a2b3c4e.tmp", ".ab.1a2b3c4d.tmp", ".a[b].notahex!.tmp")
    for name in names:
        fill(tmp_path / name, 9)
    for name in (*names[:1], *names[2:]):
        os.utime(tmp_path / name, (0, 0))
    fill(tmp_path / "a[b]", 1)
    assert sorted(os.listdir(tmp_path)) == sorted(["a[b]", *names[1:]])


def test_a_regular_file_and_nothing_else(tmp_path):
    (tmp_path / "file").write_bytes(b"x" * 10)
    assert read_regular(tmp_path / "file", 10)[0] == b"x" * 10
    with pytest.raises(OSError, match="it is larger than 9 bytes"):
        read_regular(tmp_path / "file", 9)
    os.mkfifo(tmp_path / "pipe")
    for name in (tmp_path / "pipe", "/dev/zero", tmp_path):
        with pytest.raises(OSError, match="it is no regular file"):
            read_regular(name, 10)


# Lines and tensors


def test_a_growing_file_has_whole_lines_only(small_disk, leave_room, tmp_path):
    disk = small_disk(1 << 20)
    leave_room(disk, 8192)
    lines, number = GrowingFile(disk / "lines"), 0
    with pytest.raises(DiskFullError, match=r"^the disk is full: .*/lines ") as caught:
        for number in range(10_000):
            lines.add(f"line {number}")
    assert caught.value.errno == errno.ENOSPC
    lines.close()
    expected = "".join(f"line {i}\n" for i in range(number))
    assert (disk / "lines").read_text() == expected and number > 500
    for unfinished in ("", "half a li", "x" * 3000):
        (tmp_path / "lines").write_text(expected + unfinished)
        lines = GrowingFile(tmp_path / "lines")
        lines.add("ü")
        lines.close()
        assert (tmp_path / "lines").read_text(encoding="utf-8") == expected + "ü\n"


def test_tensors_that_find_no_room_are_an_error_of_the_disk(small_disk, leave_room):
    torch = pytest.importorskip("torch")
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    disk = small_disk(1 << 20)
    leave_room(disk, 8192)
    is_told = pytest.raises(DiskFullError, match="needs 40000 bytes, 8192 are free")
    with is_told, explaining_errors(disk / "a", 40_000), writing_tensors():
        save_file({"a": torch.zeros(10_000)}, disk / "a")
    with pytest.raises(FileNotFoundError), writing_tensors():
        save_file({"a": torch.zeros(1)}, disk / "missing" / "a")
    with pytest.raises(SafetensorError), writing_tensors():
        raise SafetensorError("something else")
    assert os.listdir(disk) == ["ballast"]


def test_settings_are_never_empty(small_disk, leave_room):
    disk = small_disk(1 << 20)
    TrainConfig().save(disk / "train.json")
    leave_room(disk, 0)
    with pytest.raises(DiskFullError):
        TrainConfig(max_steps=777).save(disk / "train.json")
    assert TrainConfig.load(disk / "train.json") == TrainConfig()


HOLD = """
import sys
from pathlib import Path
from amt.files import alone_in
with alone_in(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_folder_is_held_by_one_process(tmp_path):
    folder = tmp_path / "run"
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        message = f"another process is writing to {folder}; wait until it has ended"
        with pytest.raises(BlockingIOError, match=message), alone_in(folder):
            raise AssertionError("held twice")
        assert folder.is_dir()
        other.kill()  # what dies lets go
        other.wait()
    with alone_in(folder):
        (folder / "result").write_text("x")
    with alone_in(folder):
        pass
    assert sorted(os.listdir(folder)) == [".lock", "result"]


def test_a_held_folder_in_which_nothing_was_made_goes(tmp_path):
    with pytest.raises(ValueError, match="no"), alone_in(tmp_path / "run"):
        raise ValueError("no")
    assert not (tmp_path / "run").exists()


def test_the_encoding_of_a_text():
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        contents = "für".encode(encoding)
        assert contents.decode(encoding_of(contents)) == "für"
