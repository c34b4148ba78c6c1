"""Make an animated picture of two windows of the example chat: ``… FILE.gif``."""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.support.browser import Browser, browser
from tests.support.paths import REPO
from tests.support.servers import served
from tests.support.waiting import until

WIDTH, HEIGHT, GAP = 430, 400, 10
COLOURS = 48


class Film:
    """The frames of two tabs, and the time that each is shown."""

    def __init__(self, chrome: Browser, url: str, names: tuple[str, str]) -> None:
        self.chrome = chrome
        self.frames: list[Image.Image] = []
        self.durations_ms: list[int] = []
        self.tabs: list[str] = []
        for name in names:
            chrome.switch_to.new_window("tab")
            metrics = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
            chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
            self.tabs.append(chrome.current_window_handle)
            chrome.get(url)
            for field, text in (("name", name), ("room", "kitchen")):
                chrome.find_element(By.ID, field).clear()
                chrome.find_element(By.ID, field).send_keys(text)
            chrome.find_element(By.ID, "room").send_keys(Keys.ENTER)
            until(lambda: "/rooms/kitchen" in chrome.current_url, "the room's page")
            until(self.is_connected, "the page is connected")

    def is_connected(self) -> bool:
        return self.chrome.find_element(By.ID, "status").get_attribute("data-state") == "open"

    def take(self, duration_ms: int) -> None:
        """Add a frame of both tabs."""
        frame = Image.new("RGB", (2 * WIDTH + GAP, HEIGHT), "#8a949e")
        for number, tab in enumerate(self.tabs):
            self.chrome.switch_to.window(tab)
            shot = Image.open(io.BytesIO(self.chrome.get_screenshot_as_png())).convert("RGB")
            frame.paste(shot.crop((0, 0, WIDTH, HEIGHT)), (number * (WIDTH + GAP), 0))
        self.frames.append(frame)
        self.durations_ms.append(duration_ms)

    def says(self, who: int, text: str) -> None:
        """Type and send a message; wait until both tabs show it."""
        self.chrome.switch_to.window(self.tabs[who])
        field = self.chrome.find_element(By.ID, "text")
        words = text.split(" ")
        for number, word in enumerate(words):
            self.chrome.switch_to.window(self.tabs[who])
            field.send_keys(word if number + 1 == len(words) else f"{word} ")
            self.take(220)
        self.chrome.switch_to.window(self.tabs[who])
        field.send_keys(Keys.ENTER)
        for tab in self.tabs:
            self.chrome.switch_to.window(tab)
            until(lambda: text in self.chrome.find_element(By.ID, "log").text, f"{text!r} is in the room")
        self.take(1300)

    def save(self, path: Path) -> None:
        palette = self.frames[-1].quantize(COLOURS)
        frames = [frame.quantize(COLOURS, palette=palette, dither=Image.Dither.NONE) for frame in self.frames]
        first, *rest = frames
        first.save(path, save_all=True, append_images=rest, duration=self.durations_ms, loop=0, optimize=True)


def main(path: Path) -> None:
    folder = Path(tempfile.mkdtemp())
    shim = str(Path(sys.executable).parent / "django-shim")
    arguments = [shim, "uvicorn", "chatsite.asgi:application", "--port", "{port}"]
    with (
        served(arguments, cwd=REPO / "examples" / "django_port", log=folder / "log") as server,
        browser(folder / "profile") as chrome,
    ):
        film = Film(chrome, server.http("/"), ("Ada", "Bob"))
        film.take(900)
        film.says(0, "Is there any tea left?")
        film.says(1, "A whole pot, on uvicorn.")
        film.says(0, "And who serves Channels?")
        film.says(1, "channels-compat does.")
        film.durations_ms[-1] = 3000
        film.save(path)
    print(f"{path}: {path.stat().st_size // 1000} kB, {len(film.frames)} frames")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
