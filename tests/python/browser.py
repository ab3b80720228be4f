"""Opens pages in headless Chromium: what a reader of report.html sees, and what the console says."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def open_page(page, *options, width=1240, height=1600):
    """Runs Chromium on the file; returns its standard output and the messages of the page's console."""
    with tempfile.TemporaryDirectory() as profile:
        command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={profile}",
                   "--virtual-time-budget=5000", "--enable-logging=stderr", f"--window-size={width},{height}", *options,
                   pathlib.Path(page).resolve().as_uri()]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, env=os.environ)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout, re.findall(r"INFO:CONSOLE.*", done.stderr)


def dump(page, **size):
    """The document after its scripts ran, and the console's messages."""
    return open_page(page, "--dump-dom", **size)


def screenshot(page, image, **size):
    open_page(page, f"--screenshot={image}", **size)
