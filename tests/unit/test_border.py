"""What the border lets through, and what it refuses and how, before any library sees it."""

from __future__ import annotations

import os

import pytest

from atmpsim.errors import ModelError, ScenarioError
from atmpsim.model.border import MAX_BYTES, check_antimony, check_xml, read_text

SBML = '<?xml version="1.0" encoding="UTF-8"?>\n<sbml xmlns="http://a" xmlns:fbc="http://b"><model/></sbml>'


def refused(call, *args, **options) -> str:
    with pytest.raises(ModelError) as caught:
        call(*args, **options)
    return str(caught.value)


# ---- files


def test_text_is_read_and_a_byte_order_mark_stripped(tmp_path) -> None:
    file = tmp_path / "m.ant"
    file.write_bytes(b"\xef\xbb\xbfmodel \xc2\xb5 end")
    assert read_text(file) == "model µ end"


BAD_BYTES = {
    "0 bytes": (b"", "m.ant: found an empty file (0 bytes), expected some text"),
    "not UTF-8": (b"a\nb \xe9 c", "m.ant line 2: found bytes that are not UTF-8 (at byte 4)"),
    "UTF-16": ("model".encode("utf-16"), "m.ant: found text in UTF-16, expected text in UTF-8"),
    "binary": (b"PK\x03\n\x04\0\0", "m.ant line 2: found a NUL byte"),
}


@pytest.mark.parametrize("case", BAD_BYTES)
def test_bytes_that_are_no_text(tmp_path, case: str) -> None:
    file = tmp_path / "m.ant"
    file.write_bytes(BAD_BYTES[case][0])
    assert BAD_BYTES[case][1] in refused(read_text, file)


def test_a_missing_file_names_its_nearest_neighbour(tmp_path) -> None:
    (tmp_path / "celyvir.ant").write_text("x")
    message = refused(read_text, tmp_path / "celivir.ant")
    assert "celivir.ant: found no such file" in message
    assert "Did you mean 'celyvir.ant'?" in message


def test_a_missing_folder_is_named(tmp_path) -> None:
    assert "There is no folder" in refused(read_text, tmp_path / "nowhere" / "m.ant")


def test_a_directory(tmp_path) -> None:
    assert "found a directory, expected a text file" in refused(read_text, tmp_path)


def test_a_pipe_is_not_opened(tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe.ant")
    assert "found a device or pipe" in refused(read_text, tmp_path / "pipe.ant")


def test_a_device_is_not_opened() -> None:
    assert "found a device or pipe" in refused(read_text, "/dev/zero")


def test_a_hundred_megabytes_are_not_read(tmp_path) -> None:
    file = tmp_path / "huge.xml"
    with file.open("wb") as stream:
        stream.truncate(100_000_000)
    assert f"found 100000000 bytes, expected at most {MAX_BYTES}" in refused(read_text, file)


def test_a_name_that_no_file_can_have() -> None:
    assert "cannot be read" in refused(read_text, "x" * 5000)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_without_permission(tmp_path) -> None:
    file = tmp_path / "m.ant"
    file.write_text("x")
    file.chmod(0)
    assert "cannot be read" in refused(read_text, file)


def test_the_caller_chooses_the_class_of_error(tmp_path) -> None:
    with pytest.raises(ScenarioError, match=r"^run\.toml: found no such file"):
        read_text(tmp_path / "x.toml", where="run.toml", error=ScenarioError)


# ---- XML


def test_the_head_of_a_document() -> None:
    head = check_xml(SBML, where="m.xml")
    assert (head.root, head.namespaces) == ("sbml", ("http://a", "http://b"))


BOMB = '<!DOCTYPE b [<!ENTITY a "ha"><!ENTITY c "&a;&a;&a;&a;&a;&a;&a;&a;">]><sbml>&c;</sbml>'
BAD_XML = {
    "entity bomb": (BOMB, "m.xml line 1: found a DOCTYPE"),
    "external entity": ('<!DOCTYPE s [<!ENTITY x SYSTEM "file:///etc/passwd">]>\n<s>&x;</s>', "found a DOCTYPE"),
    "external DTD": ('<!DOCTYPE s SYSTEM "http://example.org/s.dtd"><s/>', "found a DOCTYPE"),
    "unknown entity": ("<s>&boom;</s>", "not well formed (undefined entity)"),
    "too deep": ("<a>" * 10_000 + "</a>" * 10_000, "found elements nested deeper than 200, expected at most 200"),
    "not closed": ("<s>\n<model>\n</s>", "m.xml line 3: found XML that is not well formed (mismatched tag)"),
    "no XML at all": ("model x end", "not well formed (syntax error)"),
    "two roots": ("<s/><s/>", "not well formed (junk after document element)"),
    "only a comment": ("<!-- nothing -->", "not well formed (no element found)"),
    "other encoding": ('<?xml version="1.0" encoding="ISO-8859-1"?><s/>', "found the encoding 'ISO-8859-1'"),
    "attribute twice": ('<s a="1" a="2"/>', "not well formed (duplicate attribute)"),
}


@pytest.mark.parametrize("case", BAD_XML)
def test_xml_that_is_refused(case: str) -> None:
    assert BAD_XML[case][1] in refused(check_xml, BAD_XML[case][0], where="m.xml")


def test_depth_of_two_hundred_is_let_through() -> None:
    assert check_xml("<a>" * 200 + "</a>" * 200, where="m.xml").root == "a"


def test_an_xinclude_is_only_an_element() -> None:
    text = '<sbml><xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file:///etc/passwd"/></sbml>'
    assert check_xml(text, where="m.xml").root == "sbml"


# ---- Antimony


BAD_ANTIMONY = {
    "brackets too deep": ("k := " + "(" * 300 + "1" + ")" * 300, "line 1: found brackets nested deeper than 200"),
    "functions too deep": ("\n\nk := " + "exp(" * 201 + "1" + ")" * 201, "line 3: found brackets nested deeper"),
    "chain of divisions": ("k := " + "/".join(["2"] * 5000), "found a statement with 5000 operators that nest"),
    "chain of powers": ("k := " + "^".join(["2"] * 5000), "found a statement with 5000 operators that nest"),
    "chain of not": ("k := " + "!" * 5000 + "x", "found a statement with 5001 operators that nest"),
    "chain of and": ("a = 1\nk := " + " && ".join(["a"] * 20_000), "line 2: found a statement with"),
    "endless statement": ("k := " + "+".join(["1"] * 150_000), "found a statement of 300004 characters"),
    "import": ('model a\nend\nimport "/etc/passwd"\n', "line 3: found an import of another file"),
    "import behind a statement": ('x = 1; import "/etc/passwd"', "line 1: found an import of another file"),
    "import behind end": ('model a\nend import "/etc/passwd"', "line 2: found an import of another file"),
    "XML by another name": ("\n<!DOCTYPE x><sbml/>", "line 1: found a text that begins with '<'"),
    "NUL": ("a = 1\n\0 b = 2", "line 2: found a NUL byte"),
    "comments": ("a = 1" + "/**/" * 30_000, "found more than 10000 comments"),
    "open string": ('k is "no end', 'line 1: found " without its end, expected a closing "'),
    "open comment": ("a = 1\n/* no end", "line 2: found /* without its end, expected a closing */"),
    "open note": ("a notes ```no end", "found ``` without its end"),
}


@pytest.mark.parametrize("case", BAD_ANTIMONY)
def test_antimony_that_is_refused(case: str) -> None:
    assert BAD_ANTIMONY[case][1] in refused(check_antimony, BAD_ANTIMONY[case][0], where="m.ant")


def test_antimony_that_is_let_through() -> None:
    quoted = 'k is "import ((((" // )))) import\n/* import\n((( */ k notes ```import [[[ "one quote``` # (('
    for text in ("k := " + "(" * 200 + "1" + ")" * 200, "k := " + "+".join(["1"] * 20_000), quoted, "imported = 3"):
        check_antimony(text, where="m.ant")


def test_each_refusal_has_its_own_message() -> None:
    messages = {refused(check_xml, text, where="m") for text, _ in BAD_XML.values()}
    messages |= {refused(check_antimony, text, where="m") for text, _ in BAD_ANTIMONY.values()}
    assert len(messages) >= len(BAD_XML) + len(BAD_ANTIMONY) - 3  # DOCTYPE by three ways
