"""Which URLs may be registered, and which dialled addresses may be sent to."""

import socket
import string

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from simulator.targets import BadTarget, check_url, judge

# --- when a URL is saved


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:3000/webhook",
        "http://localhost",
        "http://127.0.0.1:8000/receiver/",
        "http://[::1]:3000/",
        "http://192.168.1.20/hook?token=a%20b&x=[1]",
        "http://10.0.0.5:65535/",
        "http://myserver:8080/",
        "http://my_service:80/hook",
        "http://printer.local/",
        "http://shop.localhost:3000/",
        "http://api.test/a;b=c/~d/@e",
        "https://example.com/hooks/ultrareach",
        "https://example.com:8443/?a=1&a=2",
        "https://93.184.216.34/",
        "https://[2606:2800:220:1:248:1893:25c8:1946]/",
    ],
)
def test_a_good_url_is_kept_as_it_is(url: str) -> None:
    assert check_url(url) == url


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("HTTP://LocalHost:3000/Hook", "http://localhost:3000/Hook"),
        ("https://BÜCHER.example/", "https://xn--bcher-kva.example/"),
        ("https://例え.テスト/", "https://xn--r8jz45g.xn--zckzah/"),
        ("http://127。0。0。1:3000/", "http://127.0.0.1:3000/"),
        ("http://127.0.0.1/\u00fc", "http://127.0.0.1/%C3%BC"),
        ("https://example.com/a#part", "https://example.com/a"),
        ("http://[0:0:0:0:0:0:0:1]:80/", "http://[::1]:80/"),
        ("http://[::FFFF:127.0.0.1]/", "http://[::ffff:7f00:1]/"),
        ("http://localhost:/", "http://localhost/"),
    ],
)
def test_a_url_is_brought_into_ascii_without_changing_where_it_leads(url: str, normal: str) -> None:
    assert check_url(url) in (normal, normal.replace("::ffff:7f00:1", "::ffff:127.0.0.1"))
    assert check_url(check_url(url)) == check_url(url)


A08 = [
    ("", "invalid_format"),
    ("localhost:3000/hook", "invalid_format"),
    ("/hook", "invalid_format"),
    ("//localhost/hook", "invalid_format"),
    ("hook", "invalid_format"),
    ("file:///etc/passwd", "unsupported_scheme"),
    ("ftp://localhost/", "unsupported_scheme"),
    ("javascript:alert(1)", "unsupported_scheme"),
    ("data:text/plain,hi", "unsupported_scheme"),
    ("gopher://localhost/", "unsupported_scheme"),
    ("ws://localhost/", "unsupported_scheme"),
    ("unix:///tmp/sock", "unsupported_scheme"),
    ("http:", "invalid_format"),
    ("http:/localhost/", "invalid_format"),
    ("http:localhost", "invalid_format"),
    ("http://", "invalid_host"),
    ("http:///hook", "invalid_host"),
    ("http://:80/", "invalid_host"),
    ("http://?q", "invalid_host"),
    ("http://localhost:0/", "invalid_port"),
    ("http://localhost:99999/", "invalid_port"),
    ("http://localhost:-1/", "invalid_port"),
    ("http://localhost:3000:1/", "invalid_port"),
    ("http://localhost:http/", "invalid_port"),
    ("http://localhost:３０/", "invalid_port"),
    ("http://localhost: 80/", "invalid_format"),
    ("http://[::1", "invalid_format"),
    ("http://::1/", "invalid_host"),
    ("http://[::1%25lo]/", "invalid_host"),
    ("http://local host/", "invalid_format"),
    (" http://localhost/", "invalid_format"),
    ("http://localhost/ ", "invalid_format"),
    ("http://localhost/\r\nX-Injected: 1", "invalid_format"),
    ("http://local\thost/", "invalid_format"),
    ("http://localhost/\0", "invalid_format"),
    ("http://localhost\u200b/", "invalid_format"),
    ("http://localhost/\ud800", "invalid_format"),
    ("http://localhost/" + "a" * 70_000, "too_long"),
    ("http://localhost/" + "\u00fc" * 400, "too_long"),
    ("http://a..b/", "invalid_host"),
    ("http://-a.test/", "invalid_host"),
    ("http://a%2eb.test/", "invalid_host"),
    ("http://" + "a" * 64 + ".test/", "invalid_host"),
    ("http://256.256.256.256/", "invalid_host"),
    ("http://1.2.3.4.5/", "invalid_host"),
    ("http://<script>/", "invalid_host"),
]


@pytest.mark.parametrize(("url", "reason"), A08, ids=lambda value: ascii(value)[:40])
def test_a08_what_is_no_url_is_refused_with_its_reason(url: str, reason: str) -> None:
    with pytest.raises(BadTarget) as refused:
        check_url(url)
    assert refused.value.reason == reason
    assert refused.value.message.endswith(".") and len(refused.value.message) < 400


@pytest.mark.parametrize(
    ("path", "used"),
    [
        ("/a/../b/./c", "/b/c"),
        ("/hooks/.", "/hooks/"),
        ("/a/b/..", "/a/"),
        ("/a/..", "/"),
        ("/..", "/"),
        ("/.", "/"),
        ("/a/...", "/a/..."),
        ("//a/../b", "//b"),
    ],
)
def test_dots_are_resolved_as_the_rfc_does(path: str, used: str) -> None:
    assert check_url(f"http://localhost:3000{path}") == f"http://localhost:3000{used}"


@given(st.text(string.ascii_letters + string.punctuation + "é/./../", max_size=30))
@example("/a/../b/./c")
@example("/a/..")
@example("/..//../x/.")
@example("/a'\"<>{}|^`?'\"<>{}|^`")
def test_what_is_registered_is_what_is_sent(rest: str) -> None:
    try:
        used = check_url("http://localhost:3000/" + rest)
    except BadTarget:
        return
    assert used == str(httpx.URL(used)) and used == check_url(used)


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "224.0.0.1", "[::ffff:169.254.1.1]"])
def test_http_to_what_is_never_sent_to_is_not_advised_to_use_https(host: str) -> None:
    with pytest.raises(BadTarget, match="The simulator never sends to") as refused:
        check_url(f"http://{host}/")
    assert refused.value.reason == "https_required" and "use https" not in refused.value.message


@pytest.mark.parametrize("url", [None, 5, b"http://localhost/", ["http://localhost/"]])
def test_what_is_no_text_is_refused(url: str) -> None:
    with pytest.raises(BadTarget) as refused:
        check_url(url)
    assert refused.value.reason == "invalid_format"


@pytest.mark.parametrize(
    "url", ["http://user:secret@localhost/", "http://secret@localhost/", "http://@localhost/"]
)
def test_a09_credentials_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(BadTarget) as refused:
        check_url(url)
    assert refused.value.reason == "credentials_in_url"
    assert "'localhost'" in refused.value.message and "secret" not in refused.value.message


def test_a09_a_backslash_does_not_hide_the_host() -> None:
    with pytest.raises(BadTarget, match=r"its host would be '127\.0\.0\.1'"):
        check_url("http://evil\\@127.0.0.1")
    for url in ("http:\\\\localhost/", "http://localhost\\hook"):
        with pytest.raises(BadTarget):
            check_url(url)


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0x7f000001",
        "127.1",
        "0",
        "0177.0.0.1",
        "[::ffff:127.0.0.1]",
        "127。0。0。1",
        "10.1",
        "[fd12::1]",
    ],
)
def test_a10_a_local_address_may_be_http_in_any_spelling(host: str) -> None:
    assert check_url(f"http://{host}/").isascii()


@pytest.mark.parametrize(
    ("typed", "used"),
    [
        ("127.1", "127.0.0.1"),
        ("0177.0.0.1", "127.0.0.1"),
        ("127.000.000.001", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1"),
    ],
)
def test_an_address_is_used_as_it_is_usually_written(typed: str, used: str) -> None:
    """In another spelling its certificate would not fit, and some receivers refuse the Host."""
    assert check_url(f"http://{typed}:3000/hook") == f"http://{used}:3000/hook"


@pytest.mark.parametrize(
    "host",
    [
        "example.com",
        "hooks.example",
        "93.184.216.34",
        "0x5db8d822",
        "1572395042",
        "[2606:2800::1]",
        "localhost.evil.com",
        "①②⑦",
    ]
    + ["169.254.169.254", "224.0.0.1", "xn--bcher-kva.com", "192.168.1.20.nip.io", "[fe80::1]", "local.co"],
)
def test_plain_http_is_only_for_this_machine_and_private_networks(host: str) -> None:
    with pytest.raises(BadTarget) as refused:
        check_url(f"http://{host}/")
    assert refused.value.reason == "https_required"


# --- when an address is dialled

OWN = [
    "127.0.0.1",
    "127.8.9.10",
    "0.0.0.0",
    "::1",
    "::",
    "::ffff:127.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
]
PRIVATE = [
    *("10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.255.255"),
    *("100.64.0.1", "100.127.255.255", "fc00::1", "fd12:3456::1", "::ffff:10.0.0.1", "::ffff:c0a8:101"),
    *("64:ff9b::a00:1", "64:ff9b:1::a00:1", "2002:a00:1::1", "::ffff:0:10.0.0.1", "::10.0.0.1"),
]
NEVER = [
    *("169.254.169.254", "169.254.0.1", "169.254.170.2", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"),
    *("2002:a9fe:a9fe::", "fe80::1", "fe80::1%eth0", "febf::1", "fd00:ec2::254", "fd20:ce::254"),
    *("100.100.100.200", "168.63.129.16", "192.0.0.192", "192.0.0.1", "0.0.0.1", "0.255.255.255"),
    *(
        "192.0.2.1",
        "198.51.100.1",
        "203.0.113.1",
        "198.18.0.1",
        "192.88.99.1",
        "224.0.0.1",
        "239.255.255.255",
    ),
    *("240.0.0.1", "255.255.255.255", "ff02::1", "ff0e::1", "100::1", "2001:db8::1", "2001:2::1", "3fff::1"),
    *("fec0::1", "4000::1", "8000::1", "::ffff:224.0.0.1", "64:ff9b::e000:1", "::a9fe:a9fe", "5f00::1"),
    "2001:0:4136:e378:8000:63bf:5601:5601",  # Teredo, the client being 169.254.169.254
]
PUBLIC = [
    *("93.184.216.34", "1.1.1.1", "9.255.255.255", "11.0.0.1", "172.15.0.1", "172.32.0.1", "192.167.0.1"),
    *(
        "100.63.255.255",
        "100.128.0.1",
        "169.253.0.1",
        "223.255.255.255",
        "2606:2800:220:1::1",
        "2a00:1450::1",
    ),
    *("::ffff:93.184.216.34", "64:ff9b::5db8:d822", "2002:5db8:d822::1"),
]


def test_the_tables_are_long_enough_to_mean_something() -> None:
    assert len({*OWN, *PRIVATE, *NEVER}) >= 60


@pytest.mark.parametrize("address", [*OWN, *PRIVATE])
def test_l11_this_machine_and_private_networks_pass_on_a_loopback_bind(address: str) -> None:
    assert judge(address, 3000, "/", "http") is None
    assert judge(address, 3000, "/", "https") is None


@pytest.mark.parametrize("address", NEVER)
def test_l11_link_local_metadata_and_the_like_never_pass(address: str) -> None:
    assert judge(address, 443, "/", "https") == "blocked_target"
    assert judge(address, 443, "/", "https", exposed=True) == "blocked_target"


@pytest.mark.parametrize("address", [*OWN, *PRIVATE])
def test_l10_only_global_addresses_pass_when_exposed(address: str) -> None:
    assert judge(address, 443, "/", "https", exposed=True) == "blocked_target"


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_pass_over_https_only(address: str) -> None:
    assert judge(address, 443, "/", "https") is None
    assert judge(address, 443, "/", "https", exposed=True) is None
    assert judge(address, 80, "/", "http") == "blocked_target"


LISTENERS = {("127.0.0.1", 8000)}


@pytest.mark.parametrize("address", OWN)
def test_l09_our_own_port_is_ourselves_under_every_address_of_this_machine(address: str) -> None:
    assert judge(address, 8000, "/api/v1/events", "http", own_listeners=LISTENERS) == "blocked_self"
    assert judge(address, 8000, "/receiver/x", "http", own_listeners=LISTENERS) is None
    assert judge(address, 8001, "/api/v1/events", "http", own_listeners=LISTENERS) is None


def test_l09_another_machine_with_our_port_is_not_us() -> None:
    assert judge("192.168.1.77", 8000, "/", "http", own_listeners=LISTENERS) is None


def test_l09_a_listener_on_every_interface_is_reached_by_any_address_of_this_machine() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(
                ("192.0.2.1", 9)
            )  # nothing is sent: it only asks which of our addresses would be used
        except OSError:
            pytest.skip("this machine has no address but loopback")
        own_address = sock.getsockname()[0]
    assert judge(own_address, 8000, "/", "http", own_listeners={("0.0.0.0", 8000)}) == "blocked_self"
    assert judge("127.0.0.1", 8000, "/", "http", own_listeners={("::", 8000)}) == "blocked_self"


@pytest.mark.parametrize(
    "path", ["/receiver/", "/receiver/a/b?status=503", "/receiver/a/../b", "/receiver/%41"]
)
def test_l09_paths_of_the_built_in_receiver_pass(path: str) -> None:
    assert judge("127.0.0.1", 8000, path, "http", own_listeners=LISTENERS) is None


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/api/v1/events",
        "/receiver/../api",
        "/receiver/%2e%2e/api",
        "/receiver/..%2fapi",
        "/receiverx",
        "/receiver",
        "/receiver?status=200",
    ]
    + [
        "/receiver/%252e%252e/api",
        "/receiver\\..\\api",
        "/x/../receiver/",
        "//receiver/",
        "/RECEIVER/",
        "/?/receiver/",
    ],
)
def test_l09_a_path_that_only_looks_like_the_receivers_does_not_pass(path: str) -> None:
    assert judge("127.0.0.1", 8000, path, "http", own_listeners=LISTENERS) == "blocked_self"
