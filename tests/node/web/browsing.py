"""A real Chromium on the page of a node, for tests."""

from __future__ import annotations

from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from tests.write.browser import axe

WIDE, NARROW = (1280, 800), (390, 844)


class Browsing:
    """A browser, and what a test does with it.

    Args:
        browser: From `tests.write.browser.chromium`.
        base: Address of the page.
    """

    def __init__(self, browser, base):
        self.browser, self.base = browser, base
        self.look()

    def look(self, size=WIDE, scheme="light"):
        """Set the size of the window and the colours."""
        sized = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", sized)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.browser.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": features, "media": ""}
        )

    def go(self, path):
        self.browser.get(self.base + path)

    def run(self, script, *arguments):
        return self.browser.execute_script(script, *arguments)

    def find(self, selector):
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector):
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector):
        return self.find(selector).get_property("textContent")

    def wait(self, holds, seconds=60):
        """Wait until something holds, and return it."""
        return WebDriverWait(self.browser, seconds, ignored_exceptions=(Exception,)).until(
            lambda _: holds()
        )

    def log_in(self, name, password):
        self.go("/login")
        self.find("input[name=name]").send_keys(name)
        self.find("input[name=password]").send_keys(password)
        self.find("button.strong").click()
        self.wait(lambda: self.all("nav[aria-label=Pages]"))

    def faults(self):
        """Return what axe-core finds serious, each with the element."""
        self.run(axe())
        found = self.browser.execute_async_script(
            "const done = arguments[0];"
            "axe.run(document, {resultTypes: ['violations']}).then((r) => done(r.violations))"
        )
        return [
            (one["id"], node["target"], node["html"][:200])
            for one in found
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]

    def overflow(self):
        """Return by how many pixels the page is wider than the window."""
        return self.run("return document.documentElement.scrollWidth - window.innerWidth")

    def said(self):
        """Return what the console says."""
        return [
            line["message"] for line in self.browser.get_log("browser")
            if "willReadFrequently" not in line["message"]
        ]  # fmt: skip
