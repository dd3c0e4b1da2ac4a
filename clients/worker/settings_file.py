"""The file that holds the settings: a flat TOML file, read, written as an example, and changed line by line.

A change keeps every other line as it is, comments too. Knows nothing of what the settings mean: see `settings.py`.
"""

import re
import stat
import tomllib
from pathlib import Path

from clients.worker.settings import Fault, SettingsError, checked, description, keys_of

#: What `hoard worker init` leaves for its reader to fill in or to uncomment.
_HEADING = """\
# Settings of a Hoard worker: `hoard worker --config {name}`.
# Read again when it changes; what cannot change while the worker runs is said in its log.
# A line that starts with # shows the default.
"""


def read(path: Path) -> dict[str, object]:
    """The file's values, unchecked. Raises SettingsError if it cannot be read or is no TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise SettingsError([Fault(key="", message=f"{path} cannot be read: {reason}")]) from error


def exposed(path: Path) -> bool:
    """Whether others than its owner may read the file."""
    return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


#: Lists that are not there by default: what is shown instead.
_SHOWN = {"features": '["HIRES_FIX"]', "forms": '["CAPTION"]'}


def write_example(path: Path, name: str, kind: str = "image") -> None:
    """A file with every setting of this kind explained. Raises FileExistsError; never replaces one."""
    defaults = checked({"name": name, "kind": kind})
    lines = [_HEADING.format(name=path.name)]
    for key in keys_of(kind):
        value = getattr(defaults, key)
        given = "" if key in ("name", "kind") else "# "
        shown = _SHOWN[key] if value is None else literal(value)
        lines.append(f"# {description(key)}\n{given}{key} = {shown}\n")
    path.touch(0o600, exist_ok=False)
    path.write_text("\n".join(lines), encoding="utf-8")


def change(path: Path, key: str, value: object) -> None:
    """Give `key` another value in the file. Raises SettingsError if the file cannot be changed."""
    text = path.read_text(encoding="utf-8")
    changed = changed_text(text, key, literal(value))
    if tomllib.loads(changed) != {**tomllib.loads(text), key: _plain(value)}:
        raise SettingsError([Fault(key=key, message=f"{path} is not a flat file: change it by hand")])
    beside = path.with_name(path.name + ".new")
    beside.unlink(missing_ok=True)
    beside.touch(0o600, exist_ok=False)
    beside.write_text(changed, encoding="utf-8")
    beside.chmod(stat.S_IMODE(path.stat().st_mode))
    beside.replace(path)


def changed_text(text: str, key: str, value: str) -> str:
    """The text of a flat TOML file with `key` set to the literal `value`, wherever it belongs."""
    lines = text.splitlines(keepends=True)
    line = f"{key} = {value}\n"
    for first, begun in enumerate(lines):
        if re.match(rf"{key}\s*=", begun):
            last = _end_of(lines, first)
            comment = _comment(begun) if last == first else ""
            return "".join([*lines[:first], line[:-1] + comment + "\n", *lines[last + 1 :]])
    for place, each in enumerate(lines):
        if re.match(rf"#\s*{key}\s*=", each):
            return "".join([*lines[: place + 1], line, *lines[place + 1 :]])
    return text + ("" if not text or text.endswith("\n") else "\n") + line


def _end_of(lines: list[str], first: int) -> int:
    """The last line of the statement that begins in line `first`."""
    for last in range(first, len(lines)):
        try:
            tomllib.loads("".join(lines[first : last + 1]))
        except tomllib.TOMLDecodeError:
            continue
        return last
    return first


def _comment(line: str) -> str:
    """The comment at the end of a statement of one line, with a space before it, or nothing."""
    meant = tomllib.loads(line)
    for found in re.finditer("#", line):
        try:
            if tomllib.loads(line[: found.start()]) == meant:
                return f"  {line[found.start() :].rstrip()}"
        except tomllib.TOMLDecodeError:
            continue
    return ""


def literal(value: object) -> str:
    """The value in TOML. Raises TypeError for what a setting never is."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return '"' + "".join(_escaped(sign) for sign in value) + '"'
    if isinstance(value, tuple | list):
        return "[" + ", ".join(literal(each) for each in value) + "]"
    raise TypeError(f"no setting is a {type(value).__name__}")


def _escaped(sign: str) -> str:
    if sign in '"\\':
        return "\\" + sign
    return (
        sign if sign.isprintable() else f"\\u{ord(sign):04x}" if ord(sign) < 2**16 else f"\\U{ord(sign):08x}"
    )


def _plain(value: object) -> object:
    """The value as TOML gives it back."""
    return list(value) if isinstance(value, tuple) else value
