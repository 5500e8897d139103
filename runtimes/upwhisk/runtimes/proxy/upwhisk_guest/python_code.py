"""From the code of an action to its function, as the stock Python proxy does it."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from types import CodeType
from typing import Any

from .archive import BadArchive, is_zip, unpack_zip
from .initialise import NO_BINARY, NO_START, InitFailed, InitRequest

MODULE = "main__"
NO_ACTIVATE = "Invalid virtualenv. Zip file does not include 'activate_this.py'."
_ABRUPT = "Command exited abruptly during initialization.\n"
Main = Callable[[Any], Any]


def load(request: InitRequest, folder: str) -> Main:
    """Lay the code out in the empty `folder`, make that the working directory, import it and return its function.

    Raises `Refused` (broken base64) or `InitFailed`. `SystemExit` of the code comes out as `InitFailed`.
    """
    _lay_out(request.payload(), folder)
    os.chdir(folder)
    if folder in sys.path:
        _forget(folder)
    sys.path.insert(0, folder)
    file = os.path.join(folder, MODULE + ".py")
    code = _compile(file)
    _activate_virtualenv(folder)
    _check_requirements(folder)
    try:
        return _import(code, file, request.main)
    except BaseException as error:
        log = "" if isinstance(error, SystemExit) else user_traceback(error)
        raise InitFailed(NO_START, log + _ABRUPT) from error


def user_traceback(error: BaseException) -> str:
    """The traceback without the frames of the proxy and of the import system."""
    frames = error.__traceback__
    while frames is not None and _is_ours(frames.tb_frame.f_code.co_filename):
        frames = frames.tb_next
    import traceback  # see `load_rest`

    try:
        return "".join(traceback.format_exception(type(error), error, frames))
    except Exception:  # an exception whose __str__ raises, a recursion that is still deep
        return f"{type(error).__name__}\n"


def _is_ours(filename: str) -> bool:
    return filename.startswith((os.path.dirname(__file__), "<frozen importlib"))


def _lay_out(payload: bytes, folder: str) -> None:
    main = os.path.join(folder, MODULE + ".py")
    if not is_zip(payload):
        with open(main, "wb") as file:
            file.write(payload)
        return
    try:
        unpack_zip(payload, folder)
    except BadArchive as error:
        raise InitFailed(str(error), f"{error}\n") from error
    for name in ("__main__.py", "exec"):
        if os.path.isfile(os.path.join(folder, name)):
            os.replace(os.path.join(folder, name), main)
            break
    if not os.path.isfile(main):
        raise InitFailed(NO_BINARY, f"Zip file does not include {MODULE}\n")


def _forget(folder: str) -> None:
    """Drop what an earlier /init that failed has left in this process. Takes milliseconds: it touches all modules."""
    base = os.path.dirname(folder)
    sys.path[:] = [path for path in sys.path if not path.startswith(base + os.sep)]
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(base + os.sep):
            del sys.modules[name]
    importlib.invalidate_caches()


def _compile(file: str) -> CodeType:
    with open(file, "rb") as source:
        text = source.read()
    try:
        return compile(text, file, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InitFailed(NO_BINARY, user_traceback(error)) from error


def _import(code: CodeType, file: str, name: str) -> Main:
    spec = importlib.util.spec_from_file_location(MODULE, file)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[MODULE] = module
    exec(code, module.__dict__)
    function = getattr(module, name, None)
    if function is None:
        raise ImportError(f"cannot import name '{name}' from '{MODULE}' ({file})")
    main: Main = function
    return main


def _activate_virtualenv(folder: str) -> None:
    root = os.path.join(folder, "virtualenv")
    if not os.path.isdir(root):
        return
    _check_version(root)
    places = (
        os.path.join(root, "bin", "activate_this.py"),
        os.path.join(root, "Scripts", "activate_this.py"),
    )
    script = next((place for place in places if os.path.isfile(place)), None)
    if script is None:
        raise InitFailed(NO_START, f"{NO_ACTIVATE}\n{_ABRUPT}")
    try:
        with open(script, encoding="utf-8") as file:
            exec(compile(file.read(), script, "exec"), {"__file__": script, "__name__": "activate_this"})
    except BaseException as error:
        raise InitFailed(NO_START, user_traceback(error) + _ABRUPT) from error


def _check_version(root: str) -> None:
    """A virtualenv holds modules built for one Python version, and activating another's imports none of them."""
    ours = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    library = os.path.join(root, "lib")
    found = sorted(name for name in _names(library) if name.startswith("python"))
    if found and ours not in found:
        made = ", ".join(name.removeprefix("python") for name in found)
        text = f"The virtualenv was made with Python {made}, but this action runs on Python {ours[6:]}."
        raise InitFailed(text, f"{text}\n")


def _check_requirements(folder: str) -> None:
    """A requirements.txt names packages; nothing is installed while an action starts."""
    file = os.path.join(folder, "requirements.txt")
    if os.path.isdir(os.path.join(folder, "virtualenv")) or not os.path.isfile(file):
        return
    from .requirements import missing

    absent = missing(file)
    if absent:
        text = (
            f"requirements.txt names packages that are not in the archive: {', '.join(absent)}. Packages are not"
            " installed when an action starts, because its sandbox has no installer and often no network."
            " Ship them in a folder 'virtualenv' made with the virtualenv package."
        )
        raise InitFailed(text, f"{text}\n")


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def new_folder(base: str) -> str:
    """A new, empty folder below `base`; an earlier attempt's is removed, for the scratch is small."""
    if os.path.exists(base):
        import shutil

        shutil.rmtree(base, ignore_errors=True)
    folder = os.path.join(os.path.realpath(base), "1")
    os.makedirs(folder)
    return folder
