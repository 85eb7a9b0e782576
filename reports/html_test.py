"""Usage: html_test.py ASSAY RECORDS.jsonl [test...]

The HTML report in a real browser: made by the program ASSAY from 10 000 records that are varied from RECORDS, opened
in a headless Chromium. Skipped, saying so, where there is none.
"""
import copy
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import html_browser

RECORDS = 10_000
SAMPLES = 200
HOSTILE = "</script><img src=x onerror=\"window.hurt=1\"><b>bold</b>\u2028\u0007 &amp; 'quoted'"
browser = assay = given = None


def fnv(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def write_samples(path):
    """One block, for all measurements; returns how records refer to it."""
    block = b"".join(struct.pack("<ffI", 1e-4 * (1 + 0.01 * (i * 7 % 13)), 1980 - (600 if i % 50 == 0 else 0), i % 50 == 0)
                     for i in range(SAMPLES))
    path.write_bytes(b"assaysmp" + struct.pack("<II", 1, 12) + block)
    return {"offset": 16, "count": SAMPLES, "checksum": fnv(block)}


def varied(lines, count):
    """`count` records: those given, over and over with another size and time; some fail, some are not supported."""
    environment = next(line for line in lines if line["kind"] == "environment")
    cases = [line for line in lines if line["kind"] == "case"]
    yield environment
    for i in range(count):
        case = copy.deepcopy(cases[i % len(cases)])
        turn = i // len(cases)
        case["problem"] = case["problem"].replace(" T=", f" T={turn}0000") if turn else case["problem"]
        case["repro"] = f"assay run '{case['problem']}' --variant {case['variant']}@{case['backend']}"
        for m in case["measurements"]:
            for key in ("median_s", "p05_s", "p95_s"):
                m[key] *= 1 + 0.37 * turn
            for key in ("bytes_read", "bytes_written", "flops"):
                m[key] *= 1 + 0.35 * turn
        if i % 500 == 7:
            case.update(status="failed", reason=f"O[q=0, t={i}] = nan", measurements=[])
            case["checks"][0].update(status="failed", utilisation="inf", reason="too far")
        if i % 500 == 9:
            case.update(status="unsupported", reason="needs compute capability 9", measurements=[], checks=[])
        yield case


def write(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def report(results):
    page = results.with_suffix(".html")
    subprocess.run([assay, "report", results, "--format", "html", "--out", page], check=True)
    return page


class HtmlTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="assay_html_")
        root = pathlib.Path(cls.folder.name)
        lines = [json.loads(line) for line in pathlib.Path(given).read_text(encoding="utf-8").splitlines()]
        block = write_samples(root / "many.samples")
        many = list(varied(lines, RECORDS))
        for case in many[1:]:
            for m in case["measurements"]:
                m.update(samples_at=block, fma_flops_per_s=6e13, matrix_flops_per_s=7e14)
        write(root / "many.jsonl", many)
        cls.many, cls.cases = report(root / "many.jsonl"), many[1:]
        bad = next(line for line in many if line.get("status") == "failed")
        for key in ("op", "problem", "variant", "device", "reason", "repro", "numerics"):
            bad[key] = HOSTILE + key
        bad["checks"][0].update(kind=HOSTILE, family=HOSTILE, reason=HOSTILE)
        environment = copy.deepcopy(many[0])
        environment["facts"]["commit"] = HOSTILE
        write(root / "hostile.jsonl", [environment, bad, many[1]])
        cls.hostile = report(root / "hostile.jsonl")
        write(root / "plain.jsonl", lines)
        cls.plain = report(root / "plain.jsonl")
        cls.browser = html_browser.Browser(browser)

    @classmethod
    def tearDownClass(cls):
        cls.browser.__exit__()
        cls.folder.cleanup()

    def setUp(self):
        self.browser.size(1400, 1000)
        self.browser.scheme("light")
        self.browser.errors.clear()
        self.browser.requests.clear()

    def tearDown(self):
        self.assertEqual(self.browser.errors, [])
        for address in self.browser.requests:
            self.assertRegex(address, r"^(file:///.*\.html|about:blank)")

    def js(self, script):
        return self.browser.evaluate(script)

    def type(self, words):
        self.js(f"""(() => {{ const box = document.getElementById("search"); box.value = {json.dumps(words)};
            box.dispatchEvent(new Event("input")); }})()""")
        self.browser.wait_for(f"state.q === {json.dumps(words)}")

    def range(self):
        return self.js('document.getElementById("range").textContent')

    def column(self, key):
        return self.js(f"""[...document.querySelectorAll('#table td[data-key="{key}"]')].map((cell) => cell.textContent)""")

    def head(self, key):
        self.js(f"""document.querySelector('#table th[data-key="{key}"] button').click()""")

    def see(self, plot):
        """Scrolls to a plot and waits until it is drawn."""
        self.js(f"""document.querySelector('[data-plot="{plot}"]').scrollIntoView({{block: "center"}})""")
        self.browser.wait_for(f'Chart.getChart("{plot}")?.attached')

    def first_point(self, plot):
        """Where the first case of a plot is on the screen, and its repro line."""
        self.see(plot)
        return self.js(f"""(() => {{ const chart = Chart.getChart("{plot}");
            const {{x, y}} = chart.getDatasetMeta(0).data[0];
            const box = chart.canvas.getBoundingClientRect();
            return [box.left + x, box.top + y, text("repro", chart.data.datasets[0].data[0].row)]; }})()""")

    def test_opens_in_under_two_seconds(self):
        times = []
        while len(times) < 5 and (not times or min(times) >= 2000):  # something else may be running, too
            times.append(self.browser.open(self.many))
        size = os.path.getsize(self.many) / 1e6
        print(f"{RECORDS} records of {SAMPLES} samples each, {size:.1f} MB, open in {times} ms", file=sys.stderr)
        self.assertLess(min(times), 2000)

    def test_renders(self):
        self.browser.open(self.many)
        self.assertEqual(self.range(), "1 to 100 of 10,000 cases")
        self.assertEqual(self.js('document.querySelector("#counts").textContent'), "9,960 passed20 failed20 unsupported")
        self.assertIn("580.159.04", self.js('document.getElementById("facts").textContent'))
        for plot in ("roofline", "speed", "speedup", "errors", "distribution", "sequence"):
            with self.subTest(plot):
                self.see(plot)
                # Something is painted besides the axes: the colour of the first variant.
                self.assertTrue(self.js(f"""(() => {{ const canvas = document.getElementById("{plot}");
                    const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
                    const [r, g, b] = colourOf(variants[0]).match(/[0-9a-f]{{2}}/g).map((part) => parseInt(part, 16));
                    for (let i = 0; i < pixels.length; i += 4)
                      if (Math.abs(pixels[i] - r) + Math.abs(pixels[i + 1] - g) + Math.abs(pixels[i + 2] - b) < 12) return true;
                    return false; }})()"""))
        # Four of each variant.
        self.assertIn("16 samples taken while the GPU was throttled",
                      self.js("""document.querySelector('[data-plot="sequence"] .note').textContent"""))

    def test_filters(self):
        self.browser.open(self.plain)
        self.assertEqual(self.range(), "1 to 100 of 136 cases")
        self.type("fused N=9")
        self.assertTrue(all("N=9 " in problem for problem in self.column("problem")))
        self.assertEqual(set(self.column("variant")), {"●fused@cuda"})
        self.type("N=1 Q=6")
        self.assertEqual(len(self.column("problem")), 4)  # not those of N=10
        self.type("fraction_of_limit>0.9 median_s<3e-4")
        shares = self.column("fraction_of_limit")
        self.assertTrue(shares and all(int(share.rstrip(" %")) >= 90 for share in shares))
        self.type("no such words")
        self.assertEqual(self.range(), "No case is left: loosen the filters.")
        self.js('document.getElementById("reset").click()')
        self.assertEqual(self.range(), "1 to 100 of 136 cases")
        self.js("""[...document.querySelectorAll("#variants button")].find((chip) => chip.textContent.includes("naive")).click()""")
        self.assertEqual(self.range(), "1 to 100 of 102 cases")
        self.see("roofline")
        self.assertEqual(self.js('Chart.getChart("roofline").data.datasets.filter((set) => set.cases).map((set) => set.label)'),
                         ["fused@cuda", "split_kv@cuda", "tensor_core@cuda"])
        self.browser.open(self.plain, self.js("location.hash"))  # the view is in the address
        self.assertEqual(self.range(), "1 to 100 of 102 cases")

    def test_filters_by_status(self):
        self.browser.open(self.many)
        self.js("""document.querySelector('#counts [data-status="failed"]').click()""")
        self.assertEqual(set(self.column("status")), {"failed"})
        self.assertEqual(self.range(), "1 to 20 of 20 cases")

    def test_sorts(self):
        self.browser.open(self.many)
        column = "[...document.querySelectorAll('#table tr[data-row]')].map((line) => raw('median_s', Number(line.dataset.row)))"
        self.head("median_s")
        falling = self.js(column)
        self.assertEqual(falling, sorted(falling, reverse=True))
        self.assertAlmostEqual(falling[0], max(m["median_s"] for case in self.cases for m in case["measurements"]))
        self.head("median_s")
        rising = self.js(column)
        self.assertEqual(rising, sorted(rising))
        self.assertLess(rising[0], falling[-1])
        self.js("change({page: 99})")
        self.assertEqual(self.js(column)[-40:], [None] * 40)  # what was not timed stands last, whichever way
        self.head("median_s")
        self.assertEqual(self.js("state.sort"), "")
        self.head("problem")
        problems = self.column("problem")
        self.assertEqual(problems, sorted(problems))

    def test_pages_and_columns(self):
        self.browser.open(self.many)
        self.js("""[...document.querySelectorAll("#pages button")].find((button) => button.textContent.includes("Next")).click()""")
        self.assertEqual(self.range(), "101 to 200 of 10,000 cases")
        self.assertEqual(self.column("samples"), [])
        self.js("""[...document.querySelectorAll(".columns label")].find((label) => label.textContent === "samples")
            .querySelector("input").click()""")
        self.assertEqual(len(self.column("samples")), 100)

    def test_markup_and_control_characters_stay_text(self):
        self.browser.open(self.hostile)
        self.js("showCase(0)")
        self.assertEqual(self.js("document.querySelectorAll('img, #case b b, #table b').length"), 0)
        self.assertIsNone(self.js("window.hurt ?? null"))
        self.assertIn(HOSTILE + "problem", self.column("problem"))
        self.assertIn(HOSTILE, self.js('document.getElementById("facts").textContent'))
        self.assertIn(HOSTILE + "repro", self.js('document.getElementById("case").textContent'))
        self.assertIn(HOSTILE + "reason", self.js('document.getElementById("failures").textContent'))
        self.js('document.getElementById("case").close()')
        self.see("errors")

    def test_a_point_shows_its_repro_line(self):
        self.browser.open(self.plain)
        for plot in ("roofline", "speed", "speedup", "errors"):
            with self.subTest(plot):
                x, y, repro = self.first_point(plot)
                self.browser.move(x, y)
                self.browser.wait_for('!document.getElementById("tooltip").hidden')
                shown = self.js('[...document.querySelectorAll("#tooltip code")].map((line) => line.textContent)')
                self.assertIn(repro, shown)
                self.browser.click(x, y)
                self.browser.wait_for('document.getElementById("case").open')
                self.assertIn(self.js('document.querySelector("#case .repro code").textContent'), shown)
                self.js('document.getElementById("case").close()')

    def test_roofs(self):
        words = 'Chart.getChart("roofline").data.datasets.map((set) => set.words ?? "").filter((text) => text)'
        self.browser.open(self.plain)  # of a time before arithmetic was measured
        self.see("roofline")
        self.assertEqual([text.split(":")[0] for text in self.js(words)], ["memory"])
        self.browser.open(self.many)
        self.see("roofline")
        shown = self.js(words)
        self.assertIn("fp32 multiply-adds: 60.0 TFLOP/s", shown)
        self.assertIn("matrix units: 700 TFLOP/s", shown)
        # A flat roof begins where the memory's slope meets it.
        self.assertTrue(self.js("""(() => { const sets = Chart.getChart("roofline").data.datasets;
            const {x, y} = sets.find((set) => set.words?.startsWith("memory")).data[1];
            const flat = sets.find((set) => set.words?.startsWith("matrix")).data[0];
            return Math.abs(x / flat.x - 1) < 1e-9 && Math.abs(y / flat.y - 1) < 1e-9; })()"""))

    def test_shares_of_the_limit(self):
        self.browser.open(self.plain)
        shares = self.js("times.map((time) => [time.share, text('fraction_of_limit', time.row), time.cache])")
        cold = [(share, shown) for share, shown, cache in shares if cache == "cold"]
        self.assertGreater(len(cold), 0)
        for share, shown in cold:
            self.assertEqual(f"{100 * share:.0f} %", shown)

    def test_on_a_phone_nothing_is_wider_than_the_screen(self):
        self.browser.size(390, 844, scale=2, mobile=True)
        self.browser.open(self.many)
        self.assertLessEqual(self.js("document.documentElement.scrollWidth"), 390)
        self.assertEqual(self.js('getComputedStyle(document.querySelector("#table tbody tr")).display'), "grid")

    def test_a_tap_shows_a_point_and_another_its_case(self):
        self.browser.size(390, 844, mobile=True)
        self.browser.open(self.plain)
        x, y, repro = self.first_point("speedup")
        self.browser.tap(x, y)
        self.browser.wait_for('!document.getElementById("tooltip").hidden')
        self.assertIn(repro, self.js('document.getElementById("tooltip").textContent'))
        self.assertFalse(self.js('document.getElementById("case").open'))
        box = self.js('document.getElementById("tooltip").getBoundingClientRect().toJSON()')
        self.browser.tap(box["left"] + 30, box["top"] + 20)
        self.browser.wait_for('document.getElementById("case").open')

    def test_a_watched_page_follows_its_sweep(self):
        page = pathlib.Path(self.folder.name, "watch.html")
        sweep = subprocess.Popen([assay, "run", "attnres_fwd dtype=bf16 N=2:17 T=2 D=8", "--backend", "cpu", "--verify-only",
                                  "--watch", page], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while not page.exists():
                self.assertIsNone(sweep.poll())
                time.sleep(0.02)
            self.browser.open(page)
            begun = self.js("data.records")
            self.assertIn("of 64 cases done", self.js('document.getElementById("ongoing").textContent'))
            self.assertEqual(sweep.wait(120), 0)
        finally:
            sweep.kill()
        self.assertLess(begun, 64)
        self.browser.wait_for("document.documentElement.dataset.ready && data.records === 64 && !data.ongoing")
        self.assertTrue(self.js('document.getElementById("ongoing").hidden'))

    def test_on_paper(self):
        self.browser.scheme("dark")
        self.browser.open(self.plain)
        paper = os.path.join(self.folder.name, "paper.pdf")
        self.browser.print(paper)
        with open(paper, "rb") as file:
            self.assertEqual(file.read(5), b"%PDF-")
        self.browser.wait_for("!document.documentElement.dataset.theme")
        self.assertEqual(self.range(), "1 to 100 of 136 cases")


if __name__ == "__main__":
    assay, given = sys.argv[1:3]
    browser = html_browser.find()
    if browser is None:
        print("ASSAY_SKIPPED: no browser: the HTML report is tested where chromium is installed (apt-get install chromium)")
        sys.exit(0)
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
