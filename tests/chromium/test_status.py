"""The pages for people in a real Chromium."""

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import expect

pytestmark = pytest.mark.real("chromium")

PHONE = {"width": 360, "height": 740}
MARKUP = "<img src=x onerror=\"alert('x')\"><script>alert(1)</script>"
HIDE = """hidden => {
  Object.defineProperty(document, "hidden", { get: () => hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""
LATE = 30_000
"""Milliseconds after which what a page should show is taken to never come."""


def query_page(url, name="good", source="mm"):
    return f"{url}/query?source={source}&name={name}"


async def test_a_healthy_and_a_failing_query_are_shown(start, vendor, look, complaints):
    vendor.fail("cdn", "no such metric")
    url = await start({"name": "good"}, {"name": "bad", "dimensions": ["cdn"]})
    page = await look(url)
    await expect(page.get_by_role("heading", level=1)).to_have_text("✕ 1 of 2 queries fails")
    bad, good = (page.get_by_role("row").filter(has=page.get_by_role("link", name=name)) for name in ("bad", "good"))
    await expect(bad).to_contain_text("failing")
    await expect(bad).to_contain_text("bad request")
    await expect(bad).to_contain_text("metricquery: HTTP 400: no such metric")
    await expect(bad).to_contain_text("never")
    await expect(good).to_contain_text("ok")
    await good.get_by_role("link", name="good").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("good")
    await expect(page.get_by_text("GET http://127.0.0.1")).to_be_visible()
    await expect(page.get_by_role("img", name="polls")).to_be_visible()
    await expect(page.get_by_role("cell", name="smartsight_views")).to_be_visible()
    assert complaints == []


async def test_it_updates_itself_and_leaves_the_reader_alone(start, vendor, look, complaints):
    url = await start(*({"name": f"q{index}"} for index in range(12)), {"name": "last", "dimensions": ["cdn"]})
    page = await look(url, viewport={"width": 1100, "height": 300})
    await expect(page.get_by_role("heading", level=1)).to_have_text("✓ All 13 queries work")
    await page.evaluate("window.same = true")
    link = page.get_by_role("link", name="last")
    await link.focus()
    await page.get_by_label("Find").evaluate("field => field.value = 'half a wo'")
    scrolled = await page.evaluate("scrollY")
    assert scrolled > 0
    vendor.fail("cdn", "gone bad")
    await expect(page.get_by_role("heading", level=1)).to_have_text("✕ 1 of 13 queries fails", timeout=LATE)
    await expect(page).to_have_title("1 of 13 queries fails · Video analytics exporter")
    # The failing query came first, so its row has moved, and the focus with it.
    await expect(page.locator("table.queries tbody tr").first).to_contain_text("gone bad")
    await expect(link).to_be_focused()
    await expect(page.get_by_label("Find")).to_have_value("half a wo")
    vendor.recover("cdn")
    await expect(page.get_by_role("heading", level=1)).to_have_text("✓ All 13 queries work", timeout=LATE)
    assert await page.evaluate("window.same")
    assert complaints == []


async def test_a_query_s_page_updates_itself_and_open_details_stay_open(start, vendor, look, complaints):
    url = await start({"name": "good"})
    page = await look(query_page(url))
    await page.get_by_text("As a table").click()
    rows = page.locator("details[open] tbody tr")
    before = await rows.count()
    vendor.fail("", "gone bad")
    await expect(page.locator("#error")).to_have_text("metricquery: HTTP 400: gone bad", timeout=LATE)
    await expect(page.locator("#state")).to_contain_text("failing: bad request")
    await expect(rows.filter(has_text="failed: bad_request").first).to_be_visible()
    assert await rows.count() > before
    vendor.recover("")
    await expect(page.locator("#error")).to_have_count(0, timeout=LATE)
    assert complaints == []


async def test_nothing_is_asked_while_updates_are_paused(start, vendor, look):
    page = await look("about:blank")
    await page.clock.install()
    await page.goto(await start({"name": "good"}))
    await page.get_by_role("button", name="Pause updates").click()
    await expect(page.locator("#live")).to_have_text("paused")
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    await page.clock.run_for(60_000)
    assert [url for url in asked if "/static/" not in url] == []  # the browser may still fetch the icon
    vendor.fail()
    await page.get_by_role("button", name="Resume updates").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("✕ 1 of 1 query fails", timeout=LATE)
    assert asked


async def test_nothing_is_asked_while_nobody_looks(start, vendor, look):
    page = await look("about:blank")
    await page.clock.install()
    await page.goto(await start({"name": "good"}))
    await page.evaluate(HIDE, arg=True)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    await page.clock.run_for(60_000)
    assert [url for url in asked if "/static/" not in url] == []  # the browser may still fetch the icon
    vendor.fail()
    await page.evaluate(HIDE, arg=False)
    await expect(page.get_by_role("heading", level=1)).to_have_text("✕ 1 of 1 query fails", timeout=LATE)


async def test_a_lost_exporter_is_told(start, look):
    page = await look(await start({"name": "good"}))
    await page.route("**/*", lambda route: route.abort())
    await expect(page.locator("#live")).to_have_text(
        "no answer from the exporter: what stands here is old", timeout=LATE
    )
    await expect(page.get_by_role("link", name="good")).to_be_visible()
    await page.unroute("**/*")
    await expect(page.locator("#live")).to_have_text("live, every 3 s", timeout=LATE)


async def test_markup_of_others_is_text(start, vendor, look, complaints):
    vendor.fail("cdn", MARKUP)
    vendor.give([{"country": MARKUP, "views": 1}], "country")
    url = await start(
        {"name": MARKUP, "dimensions": ["cdn"]}, {"name": "rows", "dimensions": ["country"]}, source=f"m{MARKUP}"
    )
    page = await look(url)
    await expect(page.get_by_role("link", name=MARKUP)).to_be_visible()
    await expect(page.get_by_text(f"metricquery: HTTP 400: {MARKUP}")).to_be_visible()
    await page.wait_for_function("document.querySelector('#live').textContent.startsWith('live')")
    stands = await page.locator("#as-of").text_content()
    await expect(page.locator("#as-of")).not_to_have_text(stands, timeout=LATE)
    assert await page.locator("main img, main script").count() == 0
    await page.get_by_role("link", name=MARKUP).click()
    await expect(page.get_by_role("heading", level=1)).to_have_text(MARKUP)
    await expect(page.locator("#error")).to_have_text(f"metricquery: HTTP 400: {MARKUP}")
    await page.get_by_role("link", name="All queries").click()
    await page.get_by_role("link", name="rows").click()
    await expect(page.get_by_role("region", name="Series")).to_contain_text("<img src=x onerror=")
    assert await page.locator("main img, main script").count() == 0
    assert complaints == []


@pytest.mark.parametrize("viewport", [{"width": 1280, "height": 900}, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_anybody_can_use_it(start, vendor, look, complaints, scheme, viewport):
    vendor.fail("cdn", "no such metric " + 20 * "without_an_end_")
    url = await start({"name": "good", "dimensions": ["country"]}, {"name": "a_long_name_" * 8, "dimensions": ["cdn"]})
    for address in (url, query_page(url), query_page(url, "a_long_name_" * 8), f"{url}/query"):
        page = await look(address, color_scheme=scheme, viewport=viewport)
        for details in await page.locator("details").all():
            await details.locator("summary").click()
        found = (await Axe().run(page)).response["violations"]
        grave = [each for each in found if each["impact"] in ("serious", "critical")]
        assert [(each["id"], [node["target"] for node in each["nodes"]]) for each in grave] == [], address
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), address
        await page.context.close()
    # The query that is not there is told with 404, of which the console says so.
    assert [complaint for complaint in complaints if "404" not in complaint] == []


async def test_the_keyboard_reaches_everything(start, look):
    page = await look(query_page(await start({"name": "good", "dimensions": ["cdn"]})))
    wanted = await page.locator("a, button, summary, [tabindex='0']").count()
    reached = []
    for _ in range(wanted):
        await page.keyboard.press("Tab")
        reached.append(await page.evaluate("document.activeElement.outerHTML.slice(0, 60)"))
    assert len(set(reached)) == wanted, reached
    await page.get_by_text("As a table").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("details[open]")).to_have_count(1)
    await page.get_by_role("link", name="All queries").focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("✓ The only query works")


async def test_without_scripts_it_is_as_useful(start, vendor, look, complaints):
    vendor.fail("cdn")
    url = await start({"name": "good"}, {"name": "bad", "dimensions": ["cdn"]})
    page = await look(url, java_script_enabled=False)
    await expect(page.get_by_role("heading", level=1)).to_have_text("✕ 1 of 2 queries fails")
    await expect(page.get_by_role("button", name="Pause updates")).to_have_count(0)
    await page.get_by_label("State").select_option("failing")
    await page.get_by_role("button", name="Show").click()
    await expect(page.locator("table.queries tbody tr")).to_have_count(1)
    await page.get_by_role("link", name="bad").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("bad")
    assert complaints == []
