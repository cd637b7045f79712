"""`node.toml`: what is written is read, and what no node can be is refused in a line."""

from __future__ import annotations

import pytest

from ichlite.errors import UsageError
from ichlite.node.initial_settings import write_initial_settings
from ichlite.node.settings import Settings, read_settings


def test_the_initial_settings_are_the_defaults(tmp_path):
    write_initial_settings(tmp_path / "node")
    assert read_settings(tmp_path / "node") == Settings()


def test_ports_and_title_are_written(tmp_path):
    write_initial_settings(tmp_path, dicom_port=104, http_port=81, aet="CT NODE")
    read = read_settings(tmp_path)
    assert (read.dicom.port, read.http.port, read.dicom.aet) == (104, 81, "CT NODE")


def test_a_node_is_not_made_twice(tmp_path):
    write_initial_settings(tmp_path)
    with pytest.raises(UsageError, match="holds a node already"):
        write_initial_settings(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[dicom]\nprot = 104", "prot"),
        ("[dicom]\nport = 70000", "port"),
        ('[dicom]\naet = "LONGER THAN SIXTEEN"', "aet"),
        ('[dicom]\naet = "   "', "aet"),
        ('[dicom]\naet = "A\\\\B"', "aet"),
        ('[dicom]\nallow_hosts = ["hospital"]', "hospital"),
        ('[[peer]]\nname = "a"\n[[peer]]\nname = "a"', "two peers alike"),
        *(
            (f'[[watch]]\nfolder = "{one}"', "watched folder")
            for one in (".", "..", "store", "store/in")
        ),
        ("[study]\nquiet_s = 0", "quiet_s"),
        ('[dicom]\ntls_certificate = "a.pem"', "only one of tls_certificate and tls_key"),
        ('[dicom]\ntls_authorities = "a.pem"', "nothing would be encrypted"),
        ('[[peer]]\nname = "a"\nhost = "b"\ntls_authorities = "c"', "neither tls nor an https"),
        ('[[peer]]\nname = "a"\nstow_url = "http://[b/x"', "no address"),
        ('[[peer]]\nname = "a"\nstow_url = "http://b:99999/x"', "no address"),
        (f'[[webhook]]\nname = "a"\nurl = "http://b"\nsecret = "whsec_{"A" * 33}"', "no base64"),
        ('[email]\nhost = "a"\nsender = "a@b"\nto = ["c;d@e"]', "e-mail address"),
        ('[email]\nhost = "a"\nsender = "a@b"\nto = ["c@d"]\npassword = "e"', "only one of user"),
        ('[email]\nhost = "a"\nsender = "a@b"\nto = ["c@d", "c@d"]', "alike"),
        ('[[source]]\naet = "A"\n[[source]]\naet = "A "', "two sources alike"),
        ('[[watch]]\nfolder = "/a/in"\n[[watch]]\nfolder = "/b/in"', "two watched folders alike"),
        ("[dicom", "not valid"),
    ],
)
def test_what_no_node_can_be_is_refused_by_name(tmp_path, text, said):
    (tmp_path / "node.toml").write_text(text)
    with pytest.raises(UsageError, match=said):
        read_settings(tmp_path)


def test_a_pattern_is_told_in_words(tmp_path):
    with pytest.raises(UsageError) as fault:
        write_initial_settings(tmp_path, aet="LONGER THAN SIXTEEN")
    assert str(fault.value) == (
        "no node can have these settings: dicom.aet: expected 1 to 16 ASCII characters without a "
        "backslash, not spaces alone"
    )
    texts = (
        '[[peer]]\nname = "a:b"',
        '[[webhook]]\nname = "a"\nsecret = "x"\nurl = "http://a"',
        '[[webhook]]\nname = "a"\nurl = "ftp://a"',
        '[email]\nhost = "a"\nsender = "x"\nto = ["a@b"]',
    )
    for text in texts:
        (tmp_path / "node.toml").write_text(text)
        with pytest.raises(UsageError) as fault:
            read_settings(tmp_path)
        assert "regex" not in str(fault.value)


def test_a_folder_without_a_node_says_how_to_make_one(tmp_path):
    with pytest.raises(UsageError, match="ichlite node init"):
        read_settings(tmp_path)


def test_a_sender_may_have_a_quiet_time_of_its_own(tmp_path):
    (tmp_path / "node.toml").write_text('[[source]]\naet = "CT1"\nquiet_s = 7')
    read = read_settings(tmp_path)
    assert (read.quiet_s("CT1"), read.quiet_s("CT2")) == (7, 60)


def test_files_are_found_from_the_folder_of_the_settings(tmp_path):
    (tmp_path / "node.toml").write_text(
        '[dicom]\ntls_certificate = "pki/a.pem"\ntls_key = "/etc/b.pem"\n'
        '[[webhook]]\nname = "a"\nurl = "https://b"\nauthorities = "c.pem"\n'
        f'secret = "whsec_{"A" * 32}"\n[read]\nbundle = "d"'
    )
    found = read_settings(tmp_path)
    assert found.dicom.tls_certificate == str(tmp_path / "pki/a.pem")
    assert found.dicom.tls_key == "/etc/b.pem"
    assert found.webhook[0].authorities == str(tmp_path / "c.pem")
    assert found.read.bundle == str(tmp_path / "d")


def test_settings_that_are_no_utf_8_are_refused_in_a_line(tmp_path):
    (tmp_path / "node.toml").write_bytes('[dicom]\naet = "ü"'.encode("latin-1"))
    with pytest.raises(UsageError, match="UTF-8"):
        read_settings(tmp_path)
