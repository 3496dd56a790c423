"""Draws public/icon-*.png from public/icon.svg: python web/tools/icons.py (needs Chromium)."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

PUBLIC = Path(__file__).resolve().parents[1] / "public"
# name, pixels, share of the canvas that the picture fills (maskable icons are cut to a circle)
ICONS = (
    ("icon-192", 192, 1.0),
    ("icon-512", 512, 1.0),
    ("icon-maskable-512", 512, 0.72),
    ("icon-apple-180", 180, 0.92),
)


def main() -> None:
    svg = (PUBLIC / "icon.svg").read_text()
    chromium = os.environ.get("LIQFIELD_CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, pixels, share in ICONS:
            page = browser.new_page(viewport={"width": pixels, "height": pixels})
            ground = "#06080d" if share < 1.0 else "transparent"
            inner = round(pixels * share)
            page.set_content(
                f"<body style='margin:0;background:{ground};display:grid;place-items:center;height:100vh'>"
                f"<div style='width:{inner}px;height:{inner}px'>{svg}</div></body>"
            )
            page.screenshot(path=PUBLIC / f"{name}.png", omit_background=True)
            page.close()
        browser.close()


if __name__ == "__main__":
    main()
