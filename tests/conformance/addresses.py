"""Addresses that callers may give to an upstream, and such as they may not."""

HARMLESS = [
    "https://pics.example.com/a.png",
    "http://pics.example.com:8080/a.png?size=1#top",
    "HTTPS://PICS.EXAMPLE.COM/A.PNG",
    "https://a_b.example.com/x",
    "https://xn--bcher-kva.example/x",
    "https://8.8.8.8/x",
    "https://[2606:4700:4700::1111]/x",
    "https://example.com./x",
    "https://example.com/%7Euser/a%20b.png",
    "data:image/png;base64,iVBORw0KGgo=",
    "DATA:image/png;base64,iVBORw0KGgo=",
    "data:image/svg+xml;charset=utf-8,%3Csvg/%3E",
]
HOSTILE = [
    # Schemes.
    "", "//example.com/x", "/etc/passwd", "example.com/x", "file:///etc/passwd", "ftp://example.com/x",
    "gopher://example.com/x", "javascript:alert(1)", "blob:https://example.com/x", "ws://example.com/x",
    "unix:///run/docker.sock", "http:example.com", "http:/example.com", "http:///x", "https://", "jar:http://a.example!/",
    # Data that is none.
    "data:", "data:,x", "data:text", "data:image/png", "data:/;base64,x", "data: image/png,x",
    # User information.
    "https://user@example.com/x", "https://user:pass@example.com/x", "https://@example.com/x",
    "https://example.com@127.0.0.1/x", "https://127.0.0.1:80@example.com/x", "http://example.com:80%40127.0.0.1/",
    # Loopback and private, in their usual form.
    "http://127.0.0.1/x", "http://127.8.8.8/x", "http://0.0.0.0/x", "http://10.0.0.1/x", "http://172.16.0.1/x",
    "http://172.31.255.255/x", "http://192.168.1.1/x", "http://100.64.0.1/x", "http://169.254.169.254/latest/meta-data",
    "http://192.0.0.192/x", "http://198.18.0.1/x", "http://224.0.0.1/x", "http://239.255.255.250/x", "http://240.0.0.1/x",
    "http://255.255.255.255/x", "http://127.0.0.1./x",
    # The same, in forms that only some clients read.
    "http://2130706433/x", "http://0x7f000001/x", "http://017700000001/x", "http://127.1/x", "http://127.0.1/x",
    "http://0x7f.0.0.1/x", "http://0177.0.0.1/x", "http://127.0.0.0x1/x", "http://127.0.0.01/x", "http://10.1/x",
    "http://3232235777/x", "http://0/x", "http://0x/x", "http://1.1.1.1.1/x", "http://999.1.1.1/x",
    "http://\uff11\uff12\uff17.0.0.1/x", "http://127\u30020\u30020\u30021/x", "http://\u2460\u2461\u2466.0.0.1/x",
    "http://127.0.0.1%2f@example.com/x", "http://%31%32%37.0.0.1/x", "http://127.0.0.1%00.example.com/x",
    # IPv6.
    "http://[::1]/x", "http://[::]/x", "http://[0:0:0:0:0:0:0:1]/x", "http://[fe80::1]/x", "http://[fe80::1%25eth0]/x",
    "http://[fc00::1]/x", "http://[fd12:3456::1]/x", "http://[ff02::1]/x", "http://[::ffff:127.0.0.1]/x",
    "http://[::ffff:7f00:1]/x", "http://[::ffff:8.8.8.8]/x", "http://[::127.0.0.1]/x", "http://[64:ff9b::7f00:1]/x",
    "http://[64:ff9b:1::7f00:1]/x", "http://[2002:7f00:1::]/x", "http://[2001:0:7f00:1::]/x", "http://[2001:db8::1]/x",
    "http://168.63.129.16/x", "http://100.100.100.200/x", "http://[::1/x", "http://::1/x", "http://[v1.x]/x",
    # Names of private networks.
    "http://localhost/x", "http://LOCALHOST/x", "http://localhost./x", "http://a.localhost/x", "http://printer/x",
    "http://printer.local/x", "http://metadata.google.internal/x", "http://db.internal/x", "http://nas.lan/x",
    "http://x.home.arpa/x", "http://1.0.0.127.in-addr.arpa/x", "http://hidden.onion/x", "http://localhost.localdomain/x",
    # What parsers disagree on.
    "http://example.com\\@127.0.0.1/x", "http:\\\\127.0.0.1/x", "https://example.com\t/x", "https://exa\nmple.com/x",
    " https://example.com/x", "https://example.com/a b", "https://example.com/\x00", "https://example.com:99999/x",
    "https://example.com:port/x", "https://exam\u00adple.com/x", "https://-example-.com/x", "https://exa..mple.com/x",
    "https://example.com/\u202egnp.exe", "https://" + "a" * 9000 + ".com/x", "https://b\u00fccher.example/x",
]  # fmt: skip
