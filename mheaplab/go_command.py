"""go_command: run the go command, or a program that it built, and say why if that fails."""

import subprocess

from .errors import GoError

BUILD_SECONDS = 600
"""A command that takes longer has failed."""
SHOWN_LINES = 3


def run_command(command, folder=None, env=None, seconds=BUILD_SECONDS):
    """Run a command without input.

    Parameters
    ----------
    command : sequence
        The command and its arguments.
    folder : path, optional
        Where it runs.
    env : dict of str to str, optional
        Its environment.
    seconds : float
        How long it may take.

    Returns
    -------
    (str, str)
        What it wrote to stdout and stderr.

    Raises
    ------
    GoError
        If it cannot run, takes longer, or has another exit status than 0; the message has its last words.
    """
    command = [str(word) for word in command]
    try:
        done = subprocess.run(
            command, cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            check=False, timeout=seconds,
        )  # fmt: skip
    except subprocess.TimeoutExpired as err:
        raise GoError(f"{' '.join(command[:2])} took more than {seconds:g} s and was stopped") from err
    except OSError as err:
        raise GoError(f"cannot run {command[0]}: {err}") from err
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-SHOWN_LINES:]
        raise GoError(f"{' '.join(command[:2])} failed with exit status {done.returncode}: {' / '.join(last)}")
    return done.stdout, done.stderr
