"""A headless Chromium, driven through its DevTools protocol over a pipe; the standard library is enough.

As a program it prints the path of the browser that would be used; exit code 1 where there is none.
"""
import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def find():
    """The path of a browser, or None. $ASSAY_BROWSER names another; none found is no error."""
    named = os.environ.get("ASSAY_BROWSER")
    return next((path for path in map(shutil.which, [named] if named else NAMES) if path), None)


class Browser:
    """One page at a time. Whatever the page throws or writes to its console as an error is in `errors`."""

    def __init__(self, path):
        self.errors = []
        self.requests = []  # addresses that the page asked for
        self._number = 0
        self._events = []
        self._rest = b""
        self._profile = tempfile.TemporaryDirectory(prefix="assay_browser_", ignore_cleanup_errors=True)
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()
        # The browser reads its file 3 and writes its file 4.
        ends = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 20) for fd in (to_browser, from_browser)]
        self._process = subprocess.Popen(
            [path, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
             "--no-first-run", "--disable-extensions", "--remote-debugging-pipe",
             f"--user-data-dir={self._profile.name}", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=(3, 4),
            preexec_fn=lambda: (os.dup2(ends[0], 3), os.dup2(ends[1], 4)))
        for fd in (to_browser, from_browser, *ends):
            os.close(fd)
        self._session = None
        target = next(t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page")
        self._session = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self._session = None
            self.call("Browser.close")
            self._process.wait(10)
        except (OSError, EOFError, TimeoutError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        os.close(self._read)
        os.close(self._write)
        self._profile.cleanup()

    def _next(self, seconds):
        while b"\0" not in self._rest:
            if not select.select([self._read], [], [], seconds)[0]:
                raise TimeoutError(f"the browser said nothing for {seconds} s")
            more = os.read(self._read, 1 << 20)
            if not more:
                raise EOFError("the browser ended")
            self._rest += more
        message, self._rest = self._rest.split(b"\0", 1)
        message = json.loads(message)
        what, given = message.get("method"), message.get("params", {})
        if what == "Runtime.exceptionThrown":
            details = given["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description", details["text"]))
        elif what == "Runtime.consoleAPICalled" and given["type"] in ("error", "warning", "assert"):
            self.errors.append(" ".join(str(a.get("value", a.get("description"))) for a in given["args"]))
        elif what == "Log.entryAdded" and given["entry"]["level"] in ("error", "warning"):
            self.errors.append(given["entry"]["text"])
        elif what == "Network.requestWillBeSent":
            self.requests.append(given["request"]["url"])
        return message

    def call(self, method, seconds=60, **parameters):
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next(seconds)
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self._events.append(answer)

    def evaluate(self, script):
        """The value of a script in the page; a promise is waited for."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"].get("exception", {}).get("description", script))
        return answer["result"].get("value")

    def wait_for(self, script, seconds=20):
        """The value of a script as soon as it is true; while a page comes and goes it may throw."""
        end = time.monotonic() + seconds
        while True:
            try:
                value, why = self.evaluate(script), "it is not true"
            except RuntimeError as error:
                value, why = None, error
            if value:
                return value
            if time.monotonic() > end:
                raise TimeoutError(f"{script}: {why}")
            time.sleep(0.02)

    def size(self, width, height, scale=1, mobile=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=mobile)
        self.call("Emulation.setTouchEmulationEnabled", enabled=mobile, maxTouchPoints=1)

    def scheme(self, scheme):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def open(self, file, fragment=""):
        """Opens a file and returns the milliseconds that its first picture took."""
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=f"file://{os.path.abspath(file)}{fragment}")
        return int(self.wait_for("location.protocol === 'file:' && document.documentElement?.dataset.ready"))

    def click(self, x, y):
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def tap(self, x, y):
        self.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def move(self, x, y):
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def screenshot(self, file, full=False):
        image = self.call("Page.captureScreenshot", captureBeyondViewport=full)
        with open(file, "wb") as out:
            out.write(base64.b64decode(image["data"]))

    def print(self, file):
        paper = self.call("Page.printToPDF", printBackground=True, preferCSSPageSize=False)
        with open(file, "wb") as out:
            out.write(base64.b64decode(paper["data"]))


if __name__ == "__main__":
    print(find() or "no browser")
    sys.exit(0 if find() else 1)
