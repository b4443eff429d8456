"""The page of a server, as people see it."""

import base64
import contextlib
import io
import re
import threading

import numpy as np
import pytest
from PIL import Image
from support.browsers import chromium
from support.servers import COLORS, colors, picture, serving

from keras_nasnet.serving.limits import Limits

LONG = "a class with a very long name, as one finds in collections of plants, " * 3
NAMES = [LONG, "green", "фрог 🐸"]

# What a person does with a file, which a browser lets nobody else do.
GIVE = """([kind, files]) => {
  const data = new DataTransfer();
  for (const [name, text] of files) {
    const bytes = Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
    data.items.add(new File([bytes], name, {type: "image/png"}));
  }
  const event = kind === "paste"
    ? new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true})
    : new DragEvent(kind, {dataTransfer: data, bubbles: true, cancelable: true});
  document.getElementById("drop").dispatchEvent(event);
}"""


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def url():
    with serving(colors(names=NAMES)) as url:
        yield url


@contextlib.contextmanager
def opened(browser, url, width=1280, **options):
    """A page that must not say a word to its console, nor load anything from elsewhere."""
    context = browser.new_context(viewport={"width": width, "height": 800}, **options)
    page = context.new_page()
    page.set_default_timeout(20_000)
    said, loaded = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: loaded.append(request.url))
    page.goto(url)
    yield page
    assert [each for each in said if "Failed to load resource" not in each] == []
    assert all(each.startswith((url, "blob:", "data:")) for each in loaded)
    context.close()


def give(page, kind, *files):
    page.evaluate(GIVE, [kind, [[name, base64.b64encode(file).decode()] for name, file in files]])


def classes(page, result=0):
    return page.locator(".result").nth(result).locator(".name").all_text_contents()


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_a_photograph_becomes_bars(browser, url, kind):
    with opened(browser, url) as page:
        page.get_by_text("3 classes").wait_for()
        give(page, kind, ("frog.png", picture(2)))
        page.get_by_text("Done.").wait_for()
        assert classes(page)[0] == "фрог 🐸"
        assert page.locator(".percent").first.text_content() == "99.8%"
        bars = page.locator(".bar span")
        widths = [bars.nth(i).evaluate("bar => parseFloat(bar.style.width)") for i in range(3)]
        assert widths[0] == pytest.approx(99.8, abs=0.1)
        assert max(widths[1:]) < 1
        assert page.locator("figcaption").text_content() == "frog.png"
        assert page.locator("canvas").is_visible()


def test_the_map_shows_which_parts_spoke_for_a_class(browser, url):
    """The brightest of the canvas is where the picture has the color."""
    pixels = np.zeros((32, 32, 3), "uint8")
    pixels[:16, 16:, 1] = 250  # above, to the right
    with opened(browser, url) as page:
        page.get_by_text("3 classes").wait_for()
        give(page, "drop", ("corner.png", encoded(pixels)))
        page.get_by_text("Done.").wait_for()
        url_of_canvas = page.locator("canvas").evaluate("canvas => canvas.toDataURL()")
        shown = Image.open(io.BytesIO(base64.b64decode(url_of_canvas.partition(",")[2])))
        bright = np.asarray(shown.convert("L"), float).reshape(2, 64, 2, 64).mean((1, 3)).ravel()
        assert np.argmax(bright) == 1
        assert bright[1] > 3 * max(bright[0], bright[2], bright[3])


def encoded(pixels):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def test_a_broken_image_has_a_message_in_its_place(browser, url):
    with opened(browser, url) as page:
        page.get_by_text("3 classes").wait_for()
        files = [("good.png", picture(0)), ("bad.png", b"nothing"), ("other.png", picture(1))]
        buffers = [{"name": n, "mimeType": "image/png", "buffer": file} for n, file in files]
        page.locator("#files").set_input_files(buffers)
        page.get_by_text("1 of 3 could not be classified.").wait_for()
        names = page.locator("figcaption").all_text_contents()
        assert names == ["good.png", "bad.png", "other.png"]
        message = page.locator(".result").nth(1).locator(".wrong").text_content()
        assert message == "the image cannot be read: not an image in a known format"
        assert [classes(page, i)[0] for i in (0, 2)] == [LONG, "green"]


def test_a_slow_model_is_waited_for(browser):
    go = threading.Event()
    before = lambda images: go.wait(30) if images.any() else None  # noqa: E731
    with serving(colors(before=before)) as url, opened(browser, url) as page:
        page.get_by_text("3 classes").wait_for()
        give(page, "drop", ("a.png", picture(0)), ("b.png", picture(1)))
        page.get_by_text("2 photographs to look at…").wait_for()
        assert page.locator(".waiting").count() == 2
        assert page.locator(".result img").first.is_visible()
        go.set()
        page.get_by_text("Done.").wait_for()
        assert [classes(page, i)[0] for i in (0, 1)] == [*COLORS[:2]]


@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_the_screen_and_its_light(browser, url, width, scheme):
    with opened(browser, url, width, color_scheme=scheme) as page:
        page.get_by_text("3 classes").wait_for()
        give(page, "drop", (f"{'name' * 40}.png", picture(0)))
        page.get_by_text("Done.").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for selector in ("#drop", ".picture", ".class >> nth=0"):
            box = page.locator(selector).bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
            assert box["height"] >= 40, "large enough for a finger"
        color = page.evaluate("getComputedStyle(document.body).backgroundColor")
        brightness = [int(each) for each in re.findall(r"\d+", color)[:3]]
        assert (max(brightness) < 60) == (scheme == "dark")


def test_the_keyboard_is_enough(browser, url):
    with opened(browser, url) as page:
        page.get_by_text("3 classes").wait_for()
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "files"
        assert page.locator("#drop").evaluate("each => getComputedStyle(each).outlineStyle") != (
            "none"
        )
        page.bring_to_front()
        with page.expect_file_chooser(timeout=120_000) as chooser:
            page.locator("#files").press("Space")
        file = {"name": "a.png", "mimeType": "image/png", "buffer": picture(1)}
        chooser.value.set_files(file)
        page.get_by_text("Done.").wait_for()
        page.locator("#files").focus()
        page.keyboard.press("Tab")
        first, second = (page.locator(".class").nth(i) for i in (0, 1))
        assert first.get_attribute("aria-pressed") == "true"
        page.keyboard.press("Enter")
        assert first.get_attribute("aria-pressed") == "false"
        assert page.locator("canvas").is_hidden()
        page.keyboard.press("Tab")
        page.keyboard.press("Space")
        assert second.get_attribute("aria-pressed") == "true"
        assert page.locator("canvas").is_visible()


def test_without_features_it_says_that_there_are_no_maps(browser):
    with serving(colors(features=False)) as url, opened(browser, url) as page:
        page.get_by_text("3 classes").wait_for()
        assert "exported without --features" in page.locator("#maps").text_content()
        give(page, "drop", ("a.png", picture(1)))
        page.get_by_text("Done.").wait_for()
        assert classes(page)[0] == "green"
        assert page.locator("canvas").is_hidden()
        assert page.locator(".class:disabled").count() == 3


def test_a_token_is_asked_for(browser):
    with serving(colors(), token="secret") as url, opened(browser, url) as page:
        page.locator("#token").wait_for()
        page.locator("#token-text").fill("wrong")
        page.keyboard.press("Enter")
        page.get_by_text("That is not the server's token.").wait_for()
        page.locator("#token-text").fill("secret")
        page.keyboard.press("Enter")
        page.get_by_text("3 classes").wait_for()
        assert page.locator("#token").is_hidden()
        give(page, "drop", ("a.png", picture(1)))
        page.get_by_text("Done.").wait_for()
        assert classes(page)[0] == "green"


def test_large_photographs_are_made_smaller_and_a_server_that_is_gone_is_told(browser):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 60, (1800, 2400, 3), "uint8")
    pixels[..., 1] += 150
    file = encoded(pixels)
    limits = Limits(max_bytes=len(file) // 2)
    with serving(colors(), limits) as url, opened(browser, url) as page:
        page.get_by_text("3 classes").wait_for()
        page.locator("#files").set_input_files(
            {"name": "large.png", "mimeType": "image/png", "buffer": file}
        )
        page.get_by_text("Done.").wait_for()
        assert classes(page)[0] == "green"
        page.route("**/predict*", lambda route: route.abort())
        give(page, "drop", ("a.png", picture(1)))
        page.get_by_text("The server does not answer. Is it running?").wait_for()
        page.unroute("**/predict*")
