"""Make environment.yml, the conda-forge twin of the set-up, from pyproject.toml.

    python tools/environment_yml.py            write environment.yml
    python tools/environment_yml.py --check    exit with 1 when it is out of step
"""

import pathlib
import re
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXTRAS = ("export", "test")
CONDA_NAMES = {"kaleido": "python-kaleido", "playwright": "playwright-python"}
"""Packages that conda-forge has under another name."""


def conda_requirement(requirement):
    """Return a pyproject requirement such as ``kaleido>=1.1`` as conda-forge names it."""
    name = re.match(r"[\w.-]+", requirement).group()
    return CONDA_NAMES.get(name, name) + requirement[len(name) :].replace(" ", "")


def environment_yml(pyproject):
    """Return the text of environment.yml for the parsed pyproject.toml."""
    project = pyproject["project"]
    wanted = list(project["dependencies"])
    for extra in EXTRAS:
        wanted += project["optional-dependencies"][extra]
    lines = [f"python{project['requires-python']}", "pip", *sorted(map(conda_requirement, wanted))]
    head = "# Made by tools/environment_yml.py from pyproject.toml; do not edit.\nname: mheaplab\n"
    head += "channels:\n  - conda-forge\n  - nodefaults\ndependencies:\n"
    # No quotes: no line starts with a sign that means something to YAML.
    return head + "".join(f"  - {line}\n" for line in lines) + "  - pip:\n      - -e .\n"


def main(argv):
    """Write or check environment.yml and return the exit status."""
    target = ROOT / "environment.yml"
    text = environment_yml(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8")))
    if "--check" not in argv:
        target.write_text(text, encoding="utf-8")
    elif not target.exists() or target.read_text(encoding="utf-8") != text:
        print("environment.yml is out of step: run python tools/environment_yml.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
