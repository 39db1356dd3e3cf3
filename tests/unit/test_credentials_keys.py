"""The signing keys: who may read them, when each signs, how long each is believed, and that nothing replaces one silently."""

from __future__ import annotations

import json
import logging
import os
import stat
import subprocess
import sys
from pathlib import Path

import jwt
import pytest
from joserfc.jwk import ECKey

from runner.clock import HeldClock
from runner.credentials.keys import KEPT_SECONDS, LEAD_SECONDS, MAX_KEYS, KeyFacts, Keys, fingerprint_key
from runner.credentials.strict import MAX_TOKEN_SECONDS
from runner.errors import StoreError
from tests.unit.tokens_by_hand import CRM, URL, minted

ROOT = Path(__file__).parents[2]
NOW = 1_750_000_000


@pytest.fixture
def clock() -> HeldClock:
    return HeldClock(NOW)


@pytest.fixture
def keys(own_home: Path, clock: HeldClock) -> Keys:
    return Keys(own_home, clock)


def kids(keys: Keys) -> list[str]:
    return [key["kid"] for key in keys.jwks()["keys"]]


def signing(keys: Keys) -> str:
    return keys.signing.kid


def test_the_first_key_is_made_at_first_use_and_signs_at_once(own_home: Path, keys: Keys, clock: HeldClock) -> None:
    before = list(own_home.glob("keys/*"))
    kid = keys.signing.kid

    assert before == []
    assert keys.facts() == (KeyFacts(kid, NOW, signs=True, published_until=None),)
    assert Keys(own_home, clock).signing.kid == kid
    assert sorted(path.name for path in own_home.glob("keys/*")) == sorted([f"{kid}.json", "lock"])


def test_a_kid_is_the_thumbprint_of_its_key(keys: Keys) -> None:
    [published] = keys.jwks()["keys"]

    assert ECKey.import_key({name: published[name] for name in ("kty", "crv", "x", "y")}).thumbprint() == published["kid"]


def test_the_key_set_has_no_private_part(own_home: Path, keys: Keys) -> None:
    [published] = keys.jwks()["keys"]
    private = json.loads((own_home / "keys" / f"{published['kid']}.json").read_text())["d"]

    assert set(published) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    assert (published["kty"], published["crv"], published["use"], published["alg"]) == ("EC", "P-256", "sig", "ES256")
    assert private not in json.dumps(keys.jwks()) + repr(keys.signing) + repr(keys.facts()) + repr(keys)


def test_folder_and_files_are_their_owners_alone(own_home: Path, keys: Keys) -> None:
    old = os.umask(0)
    try:
        keys.rotate()
        keys.rotate()
        fingerprint_key(own_home)
    finally:
        os.umask(old)
    found = [*own_home.glob("keys/*"), own_home / "fingerprint.key"]

    assert stat.S_IMODE((own_home / "keys").stat().st_mode) == 0o700
    assert {path.name: oct(path.stat().st_mode & 0o777) for path in found} == {path.name: "0o600" for path in found}
    assert len(found) == 4


PROCESS = """
import sys
from pathlib import Path
from runner.clock import SystemClock
from runner.credentials.keys import Keys, fingerprint_key
import joserfc.jwk
print("ready", flush=True)
sys.stdin.readline()
home = Path(sys.argv[1])
print(Keys(home, SystemClock()).signing.kid, fingerprint_key(home).hex())
"""


def test_eight_processes_that_begin_at_once_make_one_key(own_home: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(own_home)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(8)
    ]  # fmt: skip
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60) for process in processes]

    assert [errors for _, errors in said] == [""] * 8
    assert len({line for line, _ in said}) == 1
    assert len(list(own_home.glob("keys/*.json"))) == 1


# --- rotation ----------------------------------------------------------------------------------


def test_a_new_key_is_published_before_it_signs(keys: Keys, clock: HeldClock) -> None:
    old = keys.signing.kid
    new = keys.rotate()
    published = kids(keys)
    clock.advance(LEAD_SECONDS - 1)
    just_before = keys.signing.kid
    clock.advance(1)

    assert published == [old, new]
    assert (just_before, keys.signing.kid) == (old, new)


def test_the_old_key_is_published_until_its_last_token_has_expired(own_home: Path, keys: Keys, clock: HeldClock) -> None:
    old = keys.signing.kid
    new = keys.rotate()
    clock.advance(LEAD_SECONDS - 1)
    last = minted(own_home, clock, seconds=float(MAX_TOKEN_SECONDS))
    clock.advance(MAX_TOKEN_SECONDS)
    while_good = kids(keys)
    clock.advance(KEPT_SECONDS - MAX_TOKEN_SECONDS)
    told = keys.facts()
    clock.advance(1)

    assert last.expires_at == NOW + LEAD_SECONDS - 1 + MAX_TOKEN_SECONDS
    assert while_good == [old, new]
    assert told[0].published_until == NOW + LEAD_SECONDS + KEPT_SECONDS
    assert kids(keys) == [new]


def test_the_file_of_a_key_that_nobody_needs_is_removed_with_the_next_rotation_or_load(
    own_home: Path, keys: Keys, clock: HeldClock
) -> None:
    keys.rotate()
    second = keys.rotate()
    clock.advance(LEAD_SECONDS + 1 + KEPT_SECONDS)
    kept = len(list(own_home.glob("keys/*.json")))
    third = keys.rotate()

    assert kept == 2
    assert {path.stem for path in own_home.glob("keys/*.json")} == {second, third}
    clock.advance(LEAD_SECONDS + KEPT_SECONDS)
    assert Keys(own_home, clock).signing.kid == third
    assert [path.stem for path in own_home.glob("keys/*.json")] == [third]


def test_a_rotation_by_another_process_is_noticed_within_a_second(own_home: Path, keys: Keys, clock: HeldClock) -> None:
    old = keys.signing.kid
    new = Keys(own_home, clock).rotate()
    at_once = kids(keys)
    clock.advance(1)

    assert (at_once, kids(keys)) == ([old], [old, new])


def test_minting_looks_at_the_folder_once_a_second_and_no_more(keys: Keys, clock: HeldClock, monkeypatch) -> None:
    looks = []
    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: looks.append(path) or listdir(path))
    signing(keys)
    looks.clear()
    for _ in range(100):
        signing(keys)
    clock.advance(1)
    for _ in range(100):
        signing(keys)

    assert len(looks) == 1


def test_two_rotations_within_the_lead_sign_one_after_the_other(keys: Keys, clock: HeldClock) -> None:
    order = [keys.signing.kid, keys.rotate(), keys.rotate()]
    seen = []
    for _ in range(LEAD_SECONDS + 2):
        clock.advance(1)
        if keys.signing.kid not in seen:
            seen.append(keys.signing.kid)

    assert kids(keys) == seen == order


def test_a_home_holds_no_more_keys_than_a_resource_server_reads(keys: Keys) -> None:
    for _ in range(MAX_KEYS):
        keys.rotate()

    with pytest.raises(StoreError, match="32 signing keys are published, and 32 is the most"):
        keys.rotate()
    assert len(kids(keys)) == MAX_KEYS


def test_a_clock_that_was_turned_back_does_not_leave_an_issuer_without_a_key(own_home: Path, keys: Keys) -> None:
    kid = keys.signing.kid

    assert Keys(own_home, HeldClock(NOW - 86_400)).signing.kid == kid


def test_a_key_whose_file_is_removed_is_withdrawn_at_once(own_home: Path, keys: Keys, clock: HeldClock) -> None:
    old = keys.signing.kid
    new = keys.rotate()
    (own_home / "keys" / f"{old}.json").unlink()
    clock.advance(1)

    assert (kids(keys), keys.signing.kid) == ([new], new)


# --- what is refused ---------------------------------------------------------------------------


def test_keys_that_vanish_under_a_process_are_an_error_and_no_new_key(own_home: Path, keys: Keys, clock: HeldClock) -> None:
    (own_home / "keys" / f"{keys.signing.kid}.json").unlink()
    clock.advance(1)
    for _ in range(2):
        with pytest.raises(StoreError, match=r"the signing keys in .* are gone"):
            signing(keys)

    assert list(own_home.glob("keys/*.json")) == []


def broken_texts(good: dict) -> dict[str, str]:
    other = ECKey.generate_key("P-256").as_dict(private=True)
    return {
        "empty": "",
        "cut": json.dumps(good)[:-9],
        "an array": json.dumps([good]),
        "without a time": json.dumps({name: good[name] for name in good if name != "signs_at"}),
        "a time that is a text": json.dumps({**good, "signs_at": "1750000000"}),
        "a time that is a bool": json.dumps({**good, "signs_at": True}),
        "public": json.dumps({name: good[name] for name in good if name != "d"}),
        "for encryption": json.dumps({**good, "use": "enc"}),
        "for another algorithm": json.dumps({**good, "alg": "ES384"}),
        "of somebody else": json.dumps({**good, **{name: other[name] for name in ("x", "y", "d")}}),
        "with another private part": json.dumps({**good, "d": other["d"]}),
        "with another kid": json.dumps({**good, "kid": "x" * 43}),
        "with more members": json.dumps({**good, "jku": "https://evil.example"}),
        "brackets in brackets": "[" * 4000,
        "too long": json.dumps(good) + " " * 5000,
    }


@pytest.mark.parametrize("case", broken_texts({"d": "", "kid": "", "signs_at": 0}))
def test_a_broken_key_file_is_one_clear_error_and_stays_as_it_is(
    own_home: Path, keys: Keys, clock: HeldClock, case: str
) -> None:
    path = own_home / "keys" / f"{keys.signing.kid}.json"
    good = json.loads(path.read_text())
    broken = broken_texts(good)[case]
    path.write_text(broken)

    with pytest.raises(StoreError) as refused:
        signing(Keys(own_home, clock))
    expected = f'"{path}" has more than 4,096 bytes' if case == "too long" else f'the signing key "{path}" is broken'
    assert refused.value.message == expected
    assert refused.value.hint
    assert good["d"] not in str(refused.value) + refused.value.hint
    assert path.read_text() == broken
    assert len(list(own_home.glob("keys/*.json"))) == 1


def test_a_key_under_the_name_of_another_is_refused(own_home: Path, keys: Keys, clock: HeldClock) -> None:
    path = own_home / "keys" / f"{keys.signing.kid}.json"
    path.rename(path.with_name(f"{'x' * 43}.json"))

    with pytest.raises(StoreError, match=r'the signing key ".*/x{43}\.json" is broken'):
        signing(Keys(own_home, clock))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_key_file_of_somebody_else_is_refused(own_home: Path, keys: Keys, clock: HeldClock) -> None:
    os.chown(own_home / "keys" / f"{keys.signing.kid}.json", 12345, 12345)

    with pytest.raises(StoreError, match=r'".*" belongs to user 12345, this is user 0'):
        signing(Keys(own_home, clock))


@pytest.mark.parametrize("name", ["notes.txt", "key.pem", f"{'x' * 43}.json.bak", f"{'x' * 42}.json"])
def test_a_foreign_file_among_the_keys_is_refused(own_home: Path, keys: Keys, clock: HeldClock, name: str) -> None:
    signing(keys)
    (own_home / "keys" / name).touch(mode=0o600)
    clock.advance(1)

    with pytest.raises(StoreError, match=f'"{own_home}/keys/{name}" is no signing key'):
        signing(keys)


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o660])
def test_a_key_file_that_others_can_reach_is_refused(own_home: Path, keys: Keys, clock: HeldClock, bits: int) -> None:
    path = own_home / "keys" / f"{keys.signing.kid}.json"
    path.chmod(bits)

    with pytest.raises(StoreError, match=f'others can reach "{path}"'):
        signing(Keys(own_home, clock))


@pytest.mark.parametrize("bits", [0o750, 0o701])
def test_a_folder_of_keys_that_others_can_look_into_is_refused(own_home: Path, clock: HeldClock, bits: int) -> None:
    (own_home / "keys").mkdir()
    (own_home / "keys").chmod(bits)

    with pytest.raises(StoreError, match=r'others can reach ".*/keys" \(mode 07'):
        signing(Keys(own_home, clock))
    assert list(own_home.glob("keys/*")) == []


def test_a_link_is_not_followed_to_a_key_or_a_folder_of_keys(own_home: Path, keys: Keys, clock: HeldClock) -> None:
    path = own_home / "keys" / f"{keys.signing.kid}.json"
    path.rename(own_home / "elsewhere")
    path.symlink_to(own_home / "elsewhere")
    with pytest.raises(StoreError, match=f'"{path}" cannot be used') as refused:
        signing(Keys(own_home, clock))
    (own_home / "keys").rename(own_home / "other")
    (own_home / "keys").symlink_to(own_home / "other")

    assert refused.value.hint == "runner follows no link there: move it away"
    with pytest.raises(StoreError, match=r'"[^"]*/keys" cannot be used'):
        signing(Keys(own_home, clock))


def test_a_pipe_in_the_place_of_a_key_does_not_hold_anybody(own_home: Path, keys: Keys, clock: HeldClock) -> None:
    path = own_home / "keys" / f"{keys.signing.kid}.json"
    path.unlink()
    os.mkfifo(path, 0o600)

    with pytest.raises(StoreError, match="is no file"):
        signing(Keys(own_home, clock))


def test_a_home_that_is_gone_is_a_store_error(tmp_path: Path, clock: HeldClock) -> None:
    with pytest.raises(StoreError, match="cannot be used: No such file or directory"):
        signing(Keys(tmp_path / "gone", clock))


def test_what_a_killed_process_left_half_written_is_swept_and_is_no_key(own_home: Path, keys: Keys, clock: HeldClock) -> None:
    kid = keys.signing.kid
    (own_home / "keys" / ".new-0123456789abcdef").write_text("{")
    again = Keys(own_home, clock).signing.kid

    assert again == kid
    assert sorted(path.name for path in (own_home / "keys").iterdir()) == sorted([f"{kid}.json", "lock"])


# --- the key of fingerprints, and silence --------------------------------------------------------


def test_the_key_of_fingerprints_is_made_once_and_refused_when_broken(own_home: Path) -> None:
    made = fingerprint_key(own_home)
    again = fingerprint_key(own_home)
    (own_home / "fingerprint.key").write_bytes(made[:31])

    assert (len(made), again) == (32, made)
    with pytest.raises(StoreError, match="is broken: it has 31 bytes, not 32"):
        fingerprint_key(own_home)
    (own_home / "fingerprint.key").chmod(0o644)
    with pytest.raises(StoreError, match=r"others can reach .* \(mode 0644\)"):
        fingerprint_key(own_home)


def test_nothing_of_a_private_key_is_logged(own_home: Path, keys: Keys, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    keys.rotate()
    kid = keys.signing.kid

    assert json.loads((own_home / "keys" / f"{kid}.json").read_text())["d"] not in caplog.text


def test_a_token_of_each_published_key_verifies_with_the_key_set_alone(own_home: Path, keys: Keys, clock: HeldClock) -> None:
    tokens = [minted(own_home, clock)]
    keys.rotate()
    clock.advance(LEAD_SECONDS)
    tokens.append(minted(own_home, clock))
    found = {key.key_id: key for key in jwt.PyJWKSet.from_dict(keys.jwks()).keys}
    texts = [issued.token.reveal() for issued in tokens]
    used = [jwt.get_unverified_header(text)["kid"] for text in texts]

    assert used == kids(keys)
    for kid, text in zip(used, texts, strict=True):
        claims = jwt.decode(text, found[kid], algorithms=["ES256"], audience=CRM, issuer=URL, options={"verify_exp": False})
        assert claims["iss"] == URL
