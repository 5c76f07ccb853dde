"""madetl as others get it: a wheel, a wheel made from the source archive, a bare checkout. None of them is the checkout
that the tests run in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import madetl
from madetl.store import sqlfiles

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
needs_checkout = pytest.mark.skipif(not (ROOT / "pyproject.toml").exists(), reason="needs the checkout")


def run(*command: object, cwd: Path, path: Path | None = None) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "MADETL_DB")}
    if path:
        environment["PYTHONPATH"] = str(path)
    done = subprocess.run([*map(str, command)], cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(source: Path, target: Path, kind: str) -> Path:
    """The wheel or source archive that hatchling makes of a checkout."""
    run(sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", target, cwd=source)
    [made] = target.iterdir()
    return made


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the project is made of, and nothing that stands around it."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("madetl", "schema", "sql", "tests"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", ".gitignore", "mad.db.example"):
        shutil.copy(ROOT / name, copy / name)
    return copy


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(checkout, tmp_path_factory.mktemp("wheel"), "wheel")


@pytest.fixture(scope="module")
def archive(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(checkout, tmp_path_factory.mktemp("sdist"), "sdist")


def files(wheel: Path) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


def works(path: Path, cwd: Path) -> None:
    """`madetl` from `path` answers, has its own resources, and plays the demo, in a folder where nothing else is."""
    where = run(sys.executable, "-c", "import madetl; print(madetl.__file__)", cwd=cwd, path=path)
    assert where.strip() == str(path / "madetl" / "__init__.py")
    assert "similarity" in run(sys.executable, "-m", "madetl", "--help", cwd=cwd, path=path)
    assert "60 of 60" in run(sys.executable, "-m", "madetl", "demo", cwd=cwd, path=path)
    assert [file.name for file in cwd.iterdir()] == ["madetl-demo.db"]


@needs_checkout
def test_the_wheel_works_anywhere(wheel: Path, tmp_path: Path) -> None:
    site, cwd = tmp_path / "site", tmp_path / "cwd"
    cwd.mkdir()
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", site, wheel]
    run(*pip, cwd=cwd)
    works(site, cwd)
    assert (site / "bin" / "madetl").exists()


@needs_checkout
def test_the_wheel_holds_what_is_needed_and_no_more(wheel: Path) -> None:
    names = files(wheel)
    for name in sqlfiles.query_files().values():
        assert f"madetl/sql/{name.parent.name}/{name.name}" in names
    assert {f"madetl/schema/{file.name}" for file in (ROOT / "schema").iterdir()} <= names
    prompts = {f"madetl/asking/prompts/{file.name}" for file in (ROOT / "madetl" / "asking" / "prompts").glob("*.txt")}
    assert {"madetl/mad.db.example", "madetl/asking/prices.toml"} | prompts <= names
    assert prompts
    tops = {name.split("/")[0] for name in names}
    assert tops == {"madetl", f"madetl-{madetl.__version__}.dist-info"}
    assert not [name for name in names if "__pycache__" in name]
    assert any(name.endswith("licenses/LICENSE") for name in names)


@needs_checkout
def test_a_wheel_made_from_the_source_archive_is_the_same(wheel: Path, archive: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "tarfile", "-e", archive, tmp_path / "source", cwd=tmp_path)
    [source] = (tmp_path / "source").iterdir()
    again = build(source, tmp_path / "again", "wheel")
    assert files(again) == files(wheel)


@needs_checkout
def test_a_bare_checkout_works(checkout: Path, tmp_path: Path) -> None:
    works(checkout, tmp_path)


@needs_checkout
def test_this_installation_finds_its_resources() -> None:
    assert sqlfiles.migrations()
    assert sqlfiles.query_files()
    assert sqlfiles.example().is_file()


@needs_checkout
def test_nothing_else_stands_at_the_top_level() -> None:
    tracked = run("git", "ls-files", cwd=ROOT) if (ROOT / ".git").exists() else ""
    allowed = {
        "madetl", "schema", "sql", "tests", "pyproject.toml", "README.md", "mad.db.example", "Makefile", "LICENSE",
        "CHANGELOG.md", "docs", ".gitignore", ".ci",
    }  # fmt: skip
    assert {line.split("/")[0] for line in tracked.splitlines()} <= allowed


@needs_checkout
def test_extras_name_what_the_program_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {
        line.split('"')[-2]
        for file in (ROOT / "madetl").rglob("*.py")
        for line in file.read_text(encoding="utf-8").splitlines()
        if "MissingExtraError(" in line and "class " not in line and "raise" in line
    }
    assert named
    assert named <= set(project["optional-dependencies"])
    assert project["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
