"""The tool that kills a study, in short: 3 kills, a spoilt file, a full disk (where one may be mounted)."""

import re
import subprocess
import sys

import pytest
from conftest import ROOT


@pytest.mark.slow
def test_a_study_outlives_kills():
    command = [sys.executable, ROOT / "tools" / "kill_study.py", "--kills", "3", "--runs", "12", "--scale", "0.2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^\d of a driver, \d of a worker killed .*: 12 rows, 12 in the dataset, 12 of 12 equal: ok$",
                     done.stdout, re.M)  # fmt: skip
