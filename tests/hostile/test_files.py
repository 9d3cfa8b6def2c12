"""Files that were made to break a reader end in an error that says what to do, soon, and in little memory."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sim.errors import ScenarioError
from sim.spec.quantity import Bytes, FrozenModel, PositiveCount, Seconds
from sim.spec.yaml import MAX_FILE_BYTES, load, validate

# The guarantee is 2 s on a core of its own; a core shared with other tests may be half as fast.
CPU_LIMIT_S = 4.0
MEMORY_LIMIT_BYTES = 300 * 2**20


class Cluster(FrozenModel):
    """A cluster."""

    name: str
    """Name."""
    count: PositiveCount
    """Count."""
    memory: Bytes = 0.0
    """Memory."""
    start: Seconds = 0.0
    """Start."""


class File(FrozenModel):
    """What the files pretend to be."""

    cluster: Cluster
    """Cluster."""
    clusters: tuple[Cluster, ...] = ()
    """More."""


def entry(field: str) -> bytes:
    """A file with one wrong field, the rest right."""
    fields = {"name": "x", "count": "8"} | dict([field.split(": ", 1)])
    return f"cluster: {{{', '.join(f'{key}: {value}' for key, value in fields.items())}}}\n".encode()


BOMB = b"a: &a [x, x, x, x, x, x, x, x, x, x]\n" + b"".join(
    f"{chr(index)}: &{chr(index)} [{', '.join([f'*{chr(index - 1)}'] * 10)}]\n".encode() for index in range(98, 104)
)

HOSTILE = {
    "400 kB of [": (b"[" * 400_000, "at most 64 deep"),
    "400 kB of {a: ": (b"{a: " * 100_000, "at most 64 deep"),
    "200,000 dashes": (b"- " * 200_000, "at most 64 deep"),
    "200,000 question marks": (b"? " * 200_000, "a key is a single text"),
    "depth 65": (b"[" * 65 + b"]" * 65, "at most 64 deep"),
    "alias bomb": (BOMB, "at most 200,000 values"),
    "reference to itself": (b"cluster: &a {cluster: *a}", "the collection that it stands in"),
    "duplicate key": (b"cluster: {}\ncluster: {}\n", "stands twice"),
    "NaN": (entry("count: .nan"), "a number is finite"),
    "inf": (entry("count: inf"), "'inf' is not a quantity"),
    ".inf": (entry("count: .inf"), "a number is finite"),
    "1e400": (entry("count: 1e400"), "larger than this program can hold"),
    "1e400 with a unit": (entry("memory: 1e400 GB"), "larger than this program can hold"),
    "1e308 x 1e18": (entry("memory: 1e308 EB"), "larger than this program can hold"),
    "count 0": (entry("count: 0"), "not a whole number from 1"),
    "count -1": (entry("count: -1"), "negative"),
    "count -0": (entry("count: -0"), "not a whole number from 1"),
    "count 1e13": (entry("count: 1e13"), "not a whole number from 1"),
    "count true": (entry("count: true"), "not a quantity"),
    "3 MB of digits": (entry("count: " + "9" * 3_000_000), "at most 64 digits"),
    "3 MB of digits with a unit": (entry("memory: " + "9" * 3_000_000 + " GB"), "is not a quantity"),
    "name true": (entry("name: true"), "must be text"),
    "name null": (entry("name: null"), "must be text"),
    "name of a date in another type": (entry("name: 20250101"), "must be text"),
    "homoglyph key": (entry("\u0441ount: 8"), "unknown key '\u0441ount'"),
    "terminal codes": (b"cluster: {name: \x1b[31m}", "control characters"),
    "escaped terminal codes": (b'cluster: {"\\e[31m": 1, name: x, count: 1}', r"unknown key '\?\[31m'"),
    "binary": (bytes(range(256)) * 20, "binary"),
    "PNG": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "binary"),
    "gzip": (b"\x1f\x8b\x08\x04\xff\xff\xff", "UTF-8"),
    "Latin-1": ("cluster: {name: M\u00fcnchen}".encode("latin-1"), "UTF-8"),
    "UTF-16": ("cluster: {}".encode("utf-16"), "UTF-16"),
    "UTF-16 without a mark": ("cluster: {}".encode("utf-16-le"), "binary"),
    "cut in a character": ("cluster: \u20ac".encode()[:-1], "UTF-8"),
    "half a surrogate": (b'cluster: "\\ud800"', "invalid Unicode"),
    "empty": (b"", "there is nothing in it"),
    "byte order mark alone": (b"\xef\xbb\xbf", "there is nothing in it"),
    "spaces": (b" \n \n", "there is nothing in it"),
    "comment": (b"# nothing\n", "there is nothing in it"),
    "text": (b"hello", "must be a mapping"),
    "tabs": (b"cluster:\n\tname: x\n", "a tab cannot indent YAML"),
    "tags": (b"cluster: !!python/object/apply:os.system [echo]", "tags are not used here"),
    "include": (b"cluster: !include ../../etc/passwd", "tags are not used here"),
    "merge": (b"a: &a {name: x}\ncluster: {<<: *a}", "merging"),
    "two documents": (b"cluster: {}\n---\ncluster: {}\n", "one document"),
    "10 MB": (b"x" * 10_000_000, "at most 4,000,000 bytes"),
    "10 MB of spaces": (b" " * 10_000_000, "at most 4,000,000 bytes"),
    "4 MB in one name": (entry("start: " + "x" * 3_900_000), "is not a quantity"),
    "4 MB in one key": (b"x" * 3_900_000 + b": 1", "':'"),
    "4 MB in one anchor": (b"cluster: &" + b"x" * 3_900_000, "'cluster' is missing|must be a mapping"),
    "4 MB of newlines": (b"\n" * 3_900_000 + b"a: [", "not closed|expected"),
    "4 MB in one quote": (b'a: "' + b"x\n" * 1_900_000, "not closed"),
    "100,000 unknown keys": (b"\n".join(b"key%d: 1" % index for index in range(99_000)), "'cluster' is missing"),
    "100,000 wrong entries": (b"clusters:\n" + b"- 1\n" * 100_000, "'cluster' is missing"),
    "200,000 values": (b"[" + b"1," * 200_000 + b"]", "at most 200,000 values"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_ends_in_an_error_with_all_four_parts(tmp_path, name):
    content, expected = HOSTILE[name]
    file = tmp_path / "hostile.yaml"
    file.write_bytes(content)
    before_s = time.process_time()
    with pytest.raises(ScenarioError, match=rf"(?s){expected}") as caught:
        validate(File, load(file))
    assert time.process_time() - before_s < CPU_LIMIT_S
    for problem in caught.value.problems or (caught.value,):
        assert problem.rule
        assert problem.where.startswith(str(file))
    assert any(
        problem.mend or problem.value or "^" in str(problem) for problem in (caught.value, *caught.value.problems)
    )
    assert len(str(caught.value)) < 20_000
    assert all(line.isprintable() for line in str(caught.value).split("\n"))


LARGE = ["400 kB of [", "alias bomb", "4 MB in one quote", "100,000 unknown keys", "100,000 wrong entries"]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak from Linux's /proc")
def test_large_hostile_files_take_little_memory(tmp_path):
    """In one process of its own: its peak is that of the worst file.

    Not from getrusage, which starts at the peak of the process that started this one.
    """
    for index, name in enumerate(LARGE):
        (tmp_path / f"{index}.yaml").write_bytes(HOSTILE[name][0])
    code = """
import pathlib, sys
from sim.errors import SimError
from sim.spec.quantity import FrozenModel, PositiveCount
from sim.spec.yaml import load, validate
class Cluster(FrozenModel):
    count: PositiveCount
class File(FrozenModel):
    cluster: Cluster
    clusters: tuple[Cluster, ...] = ()
for file in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    try:
        validate(File, load(file))
    except SimError:
        pass
print(*(line for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert int(done.stdout.split()[1]) * 1024 < MEMORY_LIMIT_BYTES


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfcluster: {name: no, count: 8}\n",
        b"cluster:\r\n  name: no\r\n  count: 8\r\n",
        b"cluster: {name: no, count: 8e0}",
        b"--- \ncluster: {name: no, count: 0x8}\n...\n",
        b"%YAML 1.2\n---\ncluster: {name: no, count: 0o10}\n",
    ],
)
def test_what_only_looks_hostile_is_read(tmp_path, content):
    file = tmp_path / "harmless.yaml"
    file.write_bytes(content)
    assert validate(File, load(file)).cluster == Cluster(name="no", count=8)


@pytest.mark.parametrize("name", ["no", "off", "yes", "y", "on", "null-island", "1e3-x", "12:30", "nan"])
def test_names_that_other_readers_take_for_something_else_are_text(tmp_path, name):
    file = tmp_path / "name.yaml"
    file.write_bytes(entry(f"name: {name}"))
    assert validate(File, load(file)).cluster.name == name


@pytest.mark.parametrize("path", ["a\0b.yaml", "x" * 5000, "x" * 300 + ".yaml", "", "/dev/null/x.yaml", "/dev/zero"])
def test_a_path_that_is_no_file(path):
    with pytest.raises(ScenarioError) as caught:
        load(path)
    assert caught.value.rule
    assert len(str(caught.value)) < 1_500


def test_a_pipe_is_not_waited_for(tmp_path):
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    with pytest.raises(ScenarioError, match="not a plain file"):
        load(pipe)


def test_a_folder_in_place_of_a_file(tmp_path):
    (tmp_path / "inside.yaml").touch()
    with pytest.raises(ScenarioError, match=r"(?s)a folder, not a file.*inside\.yaml"):
        load(tmp_path)


def test_a_file_without_permission(tmp_path, monkeypatch):
    file = tmp_path / "secret.yaml"
    file.touch()

    def refuse(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    # Tests may run as root, whom no permission stops.
    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(ScenarioError, match="cannot be read: permission denied"):
        load(file)


def test_a_file_that_grows_after_its_size_was_read(tmp_path, monkeypatch):
    file = tmp_path / "grown.yaml"
    file.write_bytes(b"x" * (MAX_FILE_BYTES + 1))
    status = os.stat_result((0o100644, 1, 1, 1, 0, 0, 10, 0, 0, 0))
    monkeypatch.setattr("os.stat", lambda _: status)
    with pytest.raises(ScenarioError, match="at most 4,000,000 bytes"):
        load(file)
