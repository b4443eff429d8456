"""Debian's Chromium, without a window."""

import contextlib
import os
import shutil

import pytest

REQUIRED = "KERAS_NASNET_CHROMIUM"  # an environment variable: without Chromium, tests fail


@contextlib.contextmanager
def chromium():
    """A browser of Playwright's; skips the test without one, unless it is required."""
    try:
        from playwright.sync_api import sync_playwright

        path = shutil.which("chromium")
        if path is None:
            raise ModuleNotFoundError("chromium is not installed")
    except ModuleNotFoundError as error:
        if REQUIRED in os.environ:
            raise
        pytest.skip(str(error))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()
