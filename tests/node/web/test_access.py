"""Who may call what: laws over all routes, passwords, sessions, forgery."""

import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.node.web.site import PASSWORDS, Site

from ichlite.errors import UsageError
from ichlite.node.settings import HttpSettings
from ichlite.node.web import access, attempts
from ichlite.node.web.passwords import fits, hash_password
from ichlite.node.web.routes import ROUTES
from ichlite.node.web.shield import HEADERS

OPEN = {"/login", "/static/{name}", "/health", "/ready", "/metrics", "/api/openapi.json"}
FORM = "application/x-www-form-urlencoded"


def address(route):
    path = re.sub(r"{\w+:number}", "1", route.path)
    return path.replace("{uid}", "1.2.3").replace("{name}", "style.css")


def test_the_open_routes_are_these_and_no_others():
    assert {route.path for route in ROUTES if route.role == "open"} == OPEN


def test_nobody_and_readers_are_kept_out_of_what_is_not_theirs(site):
    eva = site.session("eva")
    for route in ROUTES:
        if route.role == "open":
            continue
        answer = site.ask(route.method, address(route))
        assert answer.status == (303 if route.kind == "page" else 401), route.path
        if route.kind == "page":
            assert answer.headers["location"].startswith("/login")
        if route.role == "admin":
            assert site.ask(route.method, address(route), user="eva").status == 403
            if route.form:
                assert site.form(address(route), eva).status == 403
    assert site.tables("SELECT count(*) FROM study") == [(0,)]


def test_every_answer_is_hardened(site):
    for route in ROUTES:
        if route.path == "/events":
            continue
        for user in (None, "anna"):
            answer = site.ask(route.method, address(route), user=user)
            assert answer.headers.keys() >= {name.lower() for name in HEADERS}, route.path
            if route.path not in ("/static/{name}",):
                assert "no-store" in answer.headers["cache-control"], route.path
            assert "unsafe" not in answer.headers["content-security-policy"]
    assert site.ask("GET", "/nothing/here").headers["x-content-type-options"] == "nosniff"


def test_a_session_changes_nothing_without_its_token(site):
    eva, other = site.session("eva"), site.session("eva")
    posts = [route for route in ROUTES if route.method == "POST" and route.role == "reader"]
    assert len(posts) > 5
    for route in posts:
        for token in ("", "guess", other.csrf):
            kind = FORM if route.form else "application/dicom"
            headers = {"X-CSRF-Token": token}
            body = f"csrf={token}" if route.form else b""
            answer = site.ask("POST", address(route), body, headers, session=eva, kind=kind)
            assert answer.status == 403, route.path
    right = {"X-CSRF-Token": eva.csrf}
    assert site.ask("POST", "/api/studies/1.2/complete", b"", right, session=eva).status == 404


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}],
)
def test_what_another_site_makes_a_browser_send_is_refused(site, headers):
    answer = site.ask("POST", "/api/studies/1.2/complete", b"", headers, user="anna")
    assert answer.status == 403
    home = {"Origin": f"http://127.0.0.1:{site.server.port}"}
    assert site.ask("POST", "/api/studies/1.2/complete", b"", home, user="anna").status == 404


def logged_in(site, name, password, csrf=None):
    page = site.ask("GET", "/login")
    token = re.search(r'name="csrf" value="([^"]+)"', page.text)[1]
    cookie = page.headers["set-cookie"].partition(";")[0]
    body = f"csrf={csrf or token}&name={name}&password={password.replace(' ', '+')}&next=//evil"
    return site.ask("POST", "/login", body, {"Cookie": cookie}, kind=FORM)


def test_the_login_gives_a_session_and_the_logout_ends_it(site):
    assert logged_in(site, "anna", "correct horse", csrf="guess").status == 403
    for name in ("anna", "nobody"):
        wrong = logged_in(site, name, "wrong")
        assert wrong.status == 401
        assert "do not belong together" in wrong.text
    answer = logged_in(site, "anna", PASSWORDS["anna"])
    assert (answer.status, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("ichlite=")
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    token = cookie.partition(";")[0]
    assert site.ask("GET", "/", headers={"Cookie": token}).status == 200
    kept = site.tables("SELECT token FROM session")[0][0]
    assert kept not in token  # what is kept opens no door
    csrf = site.tables("SELECT csrf FROM session")[0][0]
    site.ask("POST", "/logout", f"csrf={csrf}", {"Cookie": token}, kind=FORM)
    assert site.ask("GET", "/", headers={"Cookie": token}).status == 303
    actions = [row[0] for row in site.tables("SELECT action FROM audit ORDER BY number")]
    assert actions.count("user.login-failed") == 2
    assert actions[-2:] == ["user.logged-in", "user.logged-out"]


def test_a_session_ends_with_its_time_and_with_a_new_password(site):
    eva = site.session("eva")
    assert site.ask("GET", "/", session=eva).status == 200
    site.database.write(lambda t: t.execute("UPDATE session SET expires_at = ?", (time.time(),)))
    assert site.ask("GET", "/", session=eva).status == 303
    assert site.ask("GET", "/api/status", user="eva").status == 200  # it is remembered now
    site.database.write(
        lambda t: t.execute("UPDATE user SET password = ?", (hash_password("another one"),))
    )
    assert site.ask("GET", "/api/status", user="eva").status == 401


def test_who_guesses_must_wait_and_the_others_need_not(site, monkeypatch):
    monkeypatch.setattr(attempts, "MOST_OF_A_USER", 3)
    monkeypatch.setattr(access, "fits", lambda password, kept: False)
    answers = [site.ask("GET", "/api/status", user="anna").status for _ in range(5)]
    assert answers == [401, 401, 401, 429, 429]
    assert int(site.ask("GET", "/api/status", user="anna").headers["retry-after"]) > 800
    monkeypatch.undo()
    assert site.ask("GET", "/api/status", user="eva").status == 200


def test_guesses_at_once_are_counted_too(site, monkeypatch):
    monkeypatch.setattr(attempts, "MOST_OF_A_USER", 3)
    monkeypatch.setattr(access, "fits", lambda password, kept: time.sleep(0.05))

    def ask(number: int) -> int:
        return site.ask("GET", "/api/status", user="anna").status

    with ThreadPoolExecutor(8) as pool:
        answers = sorted(pool.map(ask, range(8)))
    assert answers == [401] * 3 + [429] * 5


def test_an_unknown_user_takes_as_long_as_a_wrong_password():
    kept = hash_password("correct horse")
    fits("warm", None)

    def fastest(against):
        times = []
        for _ in range(7):
            began = time.perf_counter()
            assert not fits("wrong", against)
            times.append(time.perf_counter() - began)
        return min(times)

    assert 0.5 < fastest(None) / fastest(kept) < 2


@pytest.mark.parametrize("password", ["", "short", "x" * 201])
def test_passwords_that_cannot_be_used(password):
    with pytest.raises(UsageError, match="characters"):
        hash_password(password)


def test_behind_https_cookies_are_for_https_and_metrics_for_users(tmp_path):
    made = Site(tmp_path / "store", http=HttpSettings(port=0, behind_https=True))
    try:
        answer = logged_in(made, "anna", PASSWORDS["anna"])
        assert answer.headers["set-cookie"].startswith("__Host-ichlite=")
        assert "Secure" in answer.headers["set-cookie"]
        assert "strict-transport-security" in answer.headers
        assert made.ask("GET", "/metrics").status == 401
        assert made.ask("GET", "/metrics", user="eva").status == 200
    finally:
        made.close()
