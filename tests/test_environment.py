"""pyproject.toml, requirements.lock and environment.yml agree, and no file names a machine or a registry."""

import pathlib
import re
import runpy
import subprocess
import sys
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = pathlib.Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")

# Spelt in pieces, so that this file does not find itself.
HOSTS = [
    "py" + "pi.org",
    "python" + "hosted.org",
    "ana" + "conda.org",
    "ana" + "conda.com",
    "npm" + "js.org",
    "npm" + "js.com",
    "proxy." + "golang.org",
    "cra" + "tes.io",
]
INDEX_OPTION = r"--(?:extra-)?index-url\s+\S*:"
HOME = r"(?<![\w./-])/(?:home|Users|root|work)/\w"
UNWANTED = re.compile("|".join([*map(re.escape, HOSTS), INDEX_OPTION, HOME]), re.IGNORECASE)
NOT_OURS = re.compile(r"(^|/)(\.venv|\.git|__pycache__|\.\w+_cache|\.hypothesis)(/|$)")


def requirements():
    """Return every requirement of pyproject.toml: of the package, its extras and the build group."""
    texts = list(PYPROJECT["project"]["dependencies"])
    for extra in PYPROJECT["project"]["optional-dependencies"].values():
        texts += extra
    return texts + PYPROJECT["dependency-groups"]["build"]


def locked():
    """Return the locked versions by canonical name; a package may have one for each range of Pythons."""
    versions = {}
    for name, version in re.findall(r"^([\w.-]+)==([^\s;\\]+)", LOCK, re.MULTILINE):
        versions.setdefault(canonicalize_name(name), []).append(version)
    return versions


def project_files():
    """Return the files of the project: what git has or would add, else all but caches and the environment."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True)
        names = [n for n in done.stdout.decode().split("\0") if n]
    except (OSError, subprocess.CalledProcessError):
        names = [str(p.relative_to(ROOT)) for p in ROOT.rglob("*")]
        names = [n for n in names if not NOT_OURS.search(n)]
    return [ROOT / n for n in names if (ROOT / n).is_file()]


def environment_script(*arguments):
    """Run tools/environment_yml.py and return what became of it."""
    script = [sys.executable, str(ROOT / "tools" / "environment_yml.py"), *arguments]
    return subprocess.run(script, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("text", requirements())
def test_requirement_is_locked(text):
    """Each requirement has a locked version that satisfies it."""
    wanted = Requirement(text)
    versions = locked().get(canonicalize_name(wanted.name), [])
    assert versions, f"{wanted.name} is not in requirements.lock: make lock"
    assert all(wanted.specifier.contains(v) for v in versions), f"{text}, but locked is {versions}: make lock"


def test_every_locked_package_has_a_hash():
    """An installation from the lock is checked byte by byte."""
    for entry in re.split(r"\n(?=\S)", LOCK):
        assert entry.startswith("#") or "--hash=sha256:" in entry, entry


def test_build_group_covers_the_build():
    """What builds the package is in the lock, so that the build needs no network."""
    build = {Requirement(t).name for t in PYPROJECT["dependency-groups"]["build"]}
    assert {Requirement(t).name for t in PYPROJECT["build-system"]["requires"]} <= build


def test_environment_yml_is_in_step():
    """environment.yml is what the script makes of pyproject.toml."""
    done = environment_script("--check")
    assert done.returncode == 0, done.stderr


def test_environment_yml_follows_pyproject():
    """A changed requirement changes environment.yml, under the name that conda-forge knows."""
    make = runpy.run_path(str(ROOT / "tools" / "environment_yml.py"))["environment_yml"]
    changed = {
        "project": {
            "requires-python": ">=3.12",
            "dependencies": ["numpy >=3"],
            "optional-dependencies": {"export": ["kaleido>=2"], "test": []},
        }
    }
    found = [line for line in make(changed).splitlines() if ">=" in line]
    assert found == ["  - python>=3.12", "  - numpy>=3", "  - python-kaleido>=2"]


def test_no_host_and_no_home():
    """No text file of the project names a package registry or a folder of somebody's machine."""
    found = []
    for path in project_files():
        data = path.read_bytes()
        if b"\0" in data:
            continue
        text = data.decode("utf-8", "replace")
        found += [f"{path.relative_to(ROOT)}: {m.group()}" for m in UNWANTED.finditer(text)]
    assert not found


@pytest.mark.parametrize(
    "text",
    [f"https://{HOSTS[0]}/simple", "--index-" + "url https://x", "see /home" + "/ada/heap", "'/root" + "/x'"],
)
def test_unwanted_is_seen(text):
    """The pattern of the test above sees what it is for."""
    assert UNWANTED.search(text)
