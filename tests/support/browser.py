"""A real Chromium for the tests that need one: it ends with its block, and waits for nothing without a deadline."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
SECONDS = 60  # for a page to load, and for a script to end
_OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,800")

needs_chromium = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER), reason="Chromium is not installed: apt-get install chromium chromium-driver"
    ),
]


@contextmanager
def chromium(**logs: str) -> Iterator[webdriver.Chrome]:
    """A browser that writes into a folder of its own alone; `logs` are those to keep, such as `browser="ALL"`."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    options.set_capability("goog:loggingPrefs", logs)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for word in (*_OPTIONS, f"--user-data-dir={profile}"):
            options.add_argument(word)
        folders = dict.fromkeys(("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "TMPDIR"), profile)
        driver = webdriver.Chrome(options=options, service=Service(DRIVER, env=os.environ | folders))
        try:
            driver.set_page_load_timeout(SECONDS)
            driver.set_script_timeout(SECONDS)
            yield driver
        finally:
            driver.quit()
