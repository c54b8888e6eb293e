"""Join codes, tokens, cookies and addresses: the pure parts of what stands in front of the pages."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from pages.server import form, headers, keys, origins
from pages.server.keys import HOST_COOKIE, JOIN_COOKIE, WHO_COOKIE, Attempts, Keys

SECRET = b"s" * 32
KEYS = Keys("tasting", "the-host's-token", SECRET)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class TestKeys:
    def test_a_new_browser_gets_128_random_bits(self) -> None:
        given = {keys.new_who() for _ in range(200)}
        assert len(given) == 200
        assert all(keys.is_who(cookie) for cookie in given)

    @pytest.mark.parametrize("cookie", ["", "local", "a" * 21, "a" * 23, "a" * 21 + "\n", "ä" * 22, "a b" * 8])
    def test_what_no_server_gave_is_nobody(self, cookie: str) -> None:
        assert not keys.is_who(cookie)

    def test_the_code_and_the_token_open_and_nothing_else_does(self) -> None:
        assert KEYS.opens("tasting")
        assert KEYS.opens(" tasting\n")
        assert KEYS.opens(KEYS.token)
        assert not any(KEYS.opens(t) for t in ("", " ", "Tasting", "tastin", "tastingg", "täst", "\ud800"[:0]))

    def test_where_there_is_no_code_an_empty_one_opens_nothing(self) -> None:
        assert not Keys("", "", SECRET).opens("")
        assert not Keys("", "", SECRET).is_token("")

    def test_a_seal_holds_for_one_person_one_code_and_one_home(self) -> None:
        one, other = keys.new_who(), keys.new_who()
        seal = KEYS.seal(one)
        assert KEYS.admits({WHO_COOKIE: one, JOIN_COOKIE: seal})
        assert not KEYS.admits({WHO_COOKIE: other, JOIN_COOKIE: seal})
        assert not KEYS.admits({WHO_COOKIE: one, JOIN_COOKIE: seal[:-1] + "x"})
        assert not KEYS.admits({WHO_COOKIE: one})
        assert not KEYS.admits({JOIN_COOKIE: seal})
        assert Keys("another", "", SECRET).seal(one) != seal
        assert Keys("tasting", "", b"t" * 32).seal(one) != seal

    def test_the_hosts_cookie_admits_only_with_a_person(self) -> None:
        assert KEYS.admits({WHO_COOKIE: keys.new_who(), HOST_COOKIE: KEYS.token})
        assert not KEYS.admits({HOST_COOKIE: KEYS.token})
        assert not KEYS.admits({WHO_COOKIE: keys.new_who(), HOST_COOKIE: "guessed"})

    def test_without_a_code_everybody_with_a_cookie_may_come_in_and_alone_anybody(self) -> None:
        open_to_all = Keys("", "token" * 4, SECRET)
        assert open_to_all.admits({WHO_COOKIE: keys.new_who()})
        assert not open_to_all.admits({})
        assert Keys("", "", SECRET).admits({})

    def test_the_secret_is_kept_for_its_owner_alone(self, tmp_path: Path) -> None:
        first = keys.secret_of(tmp_path)
        assert len(first) == 32
        assert keys.secret_of(tmp_path) == first
        assert stat.S_IMODE((tmp_path / keys.SECRET_FILE).stat().st_mode) == 0o600

    def test_half_a_secret_is_never_used(self, tmp_path: Path) -> None:
        (tmp_path / keys.SECRET_FILE).write_bytes(b"short")
        first, second = keys.secret_of(tmp_path), keys.secret_of(tmp_path)
        assert len(first) == len(second) == 32
        assert first != second

    def test_the_secret_is_not_printed(self) -> None:
        assert "sss" not in repr(KEYS)


class TestAttempts:
    def test_ten_wrong_codes_then_a_wait_until_the_first_is_a_minute_old(self) -> None:
        clock = Clock()
        attempts = Attempts(clock)
        for _ in range(keys.WRONG_OF_ONE):
            assert attempts.wait("10.0.0.1") == 0
            attempts.wrong("10.0.0.1")
            clock.now += 1
        assert attempts.wait("10.0.0.1") == pytest.approx(50)
        assert attempts.wait("10.0.0.2") == 0
        clock.now += 50
        assert attempts.wait("10.0.0.1") == 0

    def test_many_addresses_together_have_to_wait_too(self) -> None:
        clock = Clock()
        attempts = Attempts(clock)
        for i in range(keys.WRONG_OF_ALL):
            attempts.wrong(f"10.0.{i // 200}.{i % 200}")
        assert attempts.wait("192.168.0.9") > 0
        clock.now += keys.WINDOW_SECONDS
        assert attempts.wait("192.168.0.9") == 0

    def test_a_line_of_ipv6_counts_as_one_address(self) -> None:
        attempts = Attempts(Clock())
        for i in range(keys.WRONG_OF_ONE):
            attempts.wrong(f"2001:db8::{i + 1:x}")
        assert attempts.wait("2001:db8::ffff") > 0
        assert attempts.wait("2001:db8:0:1::1") == 0

    def test_memory_stays_bounded(self) -> None:
        attempts = Attempts(Clock())
        for i in range(keys.MOST_ADDRESSES + 50):
            attempts.wrong(f"host-{i}")
        assert len(attempts._by_address) == keys.MOST_ADDRESSES


NAMES = frozenset({"lab", "lab.local"})


class TestOrigins:
    @pytest.mark.parametrize("host", ["localhost", "localhost:8501", "127.0.0.1:8501", "[::1]:8501", "192.168.1.5",
                                      "lab", "LAB.local:80", "lab."])  # fmt: skip
    def test_this_machine(self, host: str) -> None:
        assert origins.knows(host, NAMES)

    @pytest.mark.parametrize("host", ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example",
                                      "lab.evil", "a@127.0.0.1", "127.0.0.1/x", "[::1", "a b"])  # fmt: skip
    def test_a_rebound_or_broken_name(self, host: str) -> None:
        assert not origins.knows(host, NAMES)
        refused = origins.refusal([(b"host", host.encode())], "GET", NAMES)
        assert refused is not None
        assert refused.status == 421

    def test_one_host_header_and_no_other_number_of_them(self) -> None:
        assert origins.refusal([], "GET", NAMES) is not None
        assert origins.refusal([(b"host", b"lab"), (b"host", b"lab")], "GET", NAMES) is not None

    @pytest.mark.parametrize(
        ("origin", "site", "allowed"),
        [
            ("http://lab:8501", "same-origin", True),
            ("https://lab:8501", "", True),
            ("", "", True),
            ("http://lab:3000", "same-site", False),
            ("http://lab:3000", "", False),
            ("http://evil.example", "", False),
            ("http://evil.example", "cross-site", False),
            ("null", "", False),
            ("file://", "", False),
            ("", "cross-site", False),
        ],
    )
    def test_only_our_own_pages_may_open_a_websocket_or_send_a_form(
        self, origin: str, site: str, allowed: bool
    ) -> None:
        sent = [(b"host", b"lab:8501")]
        sent += [(b"origin", origin.encode())] if origin else []
        sent += [(b"sec-fetch-site", site.encode())] if site else []
        for method in ("WEBSOCKET", "POST", "PUT"):
            assert (origins.refusal(sent, method, NAMES) is None) == allowed
        assert origins.refusal(sent, "GET", NAMES) is None, "a link from elsewhere may open a page"


class TestForm:
    @pytest.mark.parametrize("target", ["//evil.example", "/\\evil.example", "https://evil.example", "evil", "",
                                        "/join", "/join?next=/join", "/a\nb", "javascript:alert(1)"])  # fmt: skip
    def test_nobody_is_sent_elsewhere(self, target: str) -> None:
        assert form.inside(target) == "/"

    def test_the_wanted_page_opens_afterwards(self) -> None:
        assert form.asked_for("next=%2Ffront%3Fcost%3Dmacs%26x%3D1") == "/front?cost=macs&x=1"
        assert b'action="/join?next=%2Ffront%3Fa%3D1%26b%3D2"' in form.html("/front?a=1&b=2")

    def test_what_somebody_typed_cannot_become_markup(self) -> None:
        assert b"<script>" not in form.html('/"><script>', "<script>")

    def test_bytes_that_are_no_form_are_no_code(self) -> None:
        assert form.code_of(b"\xff\xfe") == ""
        assert form.code_of(b"") == ""
        assert form.code_of(b"code=a+b%26c") == "a b&c"


class TestHeaders:
    def test_ours_replace_streamlits_and_only_bundles_are_kept(self) -> None:
        given = [(b"cache-control", b"public, max-age=9"), (b"X-Frame-Options", b"ALLOWALL"), (b"etag", b"1")]
        page = dict(headers.secured(given, "/", b"policy"))
        assert page[b"cache-control"] == b"no-store"
        assert page[b"x-frame-options"] == b"DENY"
        assert page[b"etag"] == b"1"
        assert b"X-Frame-Options" not in page
        assert dict(headers.secured(given, "/static/js/a.js", b"policy"))[b"cache-control"] == b"public, max-age=9"

    def test_the_policy_names_no_other_place(self) -> None:
        policy = headers.page_policy(headers.inline_hashes("<script>a</script><script src=x></script>"))
        assert "http" not in policy
        assert "*" not in policy
        assert "'unsafe-inline'" not in policy.split("style-src")[0]
        assert policy.count("'sha256-") == 1
        assert "frame-ancestors 'none'" in policy
        assert "script-src" not in headers.join_policy()
