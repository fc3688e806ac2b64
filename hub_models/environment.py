"""Make a process independent of its environment: the locale's encoding, and the proxies that are set."""

import contextlib
import io
import os
import sys
from collections.abc import Iterator

from huggingface_hub import constants
from huggingface_hub.utils import get_session


def prepare_console() -> None:
    """Prepare a command: every command calls this first.

    What the output's encoding lacks is printed as an escape of its code, as Python does on stderr.

    Raises:
        SystemExit: an argument is not text in the locale's encoding, so no file in UTF-8 could record it.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    for argument in sys.argv[1:]:
        try:
            argument.encode()
        except UnicodeEncodeError:
            encoding = sys.getfilesystemencoding()
            sys.exit(
                f"error: the argument {argument!r} is not valid {encoding}, the encoding of this locale: set LC_ALL to "
                "a UTF-8 locale, or rename the file"
            )


@contextlib.contextmanager
def without_proxies() -> Iterator[None]:
    """A context in which HTTP clients are made without the proxies of the environment.

    Gradio makes a client when it is imported, and asks the app for its own pages when it is launched. Exempting only
    localhost is not enough: a client for `ALL_PROXY=socks5://...` cannot be made without a further package.
    """
    names = "no_proxy", "NO_PROXY"  # the first wins where both are set
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "*"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def client_fault() -> str:
    """Say in a sentence why no client of the Hub can be made in this environment; empty where one can."""
    if constants.HF_HUB_OFFLINE:  # then none is asked
        return ""
    try:
        get_session()
    except Exception as error:  # httpx has a type for each: a missing package, another scheme, no port, no certificate
        advice = "correct or unset ALL_PROXY, HTTPS_PROXY, HTTP_PROXY or SSL_CERT_FILE"
        if isinstance(error, ImportError):
            advice = "run `pip install socksio`, or unset ALL_PROXY, HTTPS_PROXY and HTTP_PROXY"
        reason = str(error).partition("\n")[0].partition(". ")[0]
        return f"no connection to the Hub can be set up with this environment ({reason}): {advice}"
    return ""
