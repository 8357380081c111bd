"""The address of a MongoDB store: read once, checked before anything connects, and never shown with its password.

What the driver would only warn about (an option that it does not know) is an error here: a store that was not
configured as its owner wrote it must not look as if it were.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_plus

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from core.errors import ConfigError

DATABASE = "bieber_tui"  # when the address names none

SCHEMES = ("mongodb", "mongodb+srv")
SECRET_OPTIONS = ("authmechanismproperties", "tlscertificatekeyfilepassword")
UNVERIFIED = ("tlsinsecure", "tlsallowinvalidcertificates", "tlsallowinvalidhostnames")
SERVERS_OWN = ("admin", "local", "config")  # databases that are the server's

ENCODE = (
    "A user name or password in it must be percent-encoded: @ is %40, : is %3A, / is %2F, ? is %3F, # is %23,"
    " % is %25. python3 -c 'import urllib.parse; print(urllib.parse.quote_plus(input()))' does it."
)


@dataclass(frozen=True, slots=True)
class Address:
    """Where posts go. Only `hosts`, `database` and `srv` may be shown."""

    url: str = field(repr=False)
    hosts: str  # host[:port][,…], or the one name of an SRV record
    database: str
    srv: bool
    secrets: tuple[str, ...] = field(repr=False)

    @property
    def atlas(self) -> bool:
        """Whether this is MongoDB's hosted service, which refuses connections in its own ways."""
        return any(host.partition(":")[0].lower().endswith(".mongodb.net") for host in self.hosts.split(","))

    def hides(self, text: str) -> bool:
        """Whether `text` holds a secret of this address."""
        return any(secret in text for secret in self.secrets)


def parse_address(url: str, options: Mapping[str, Any]) -> Address:
    """Read and check an address together with the options that the sink sets itself. Asks no network.

    Raises ConfigError, with a hint to percent-encode when that is what is wrong.
    """
    scheme, _, rest = url.strip().partition("://")
    scheme = scheme.lower()
    if scheme not in SCHEMES:
        raise ConfigError(
            "the store's address is no MongoDB address",
            "It looks like mongodb://host:27017/database or mongodb+srv://user:password@cluster.example.net/.",
        )
    authority = re.split("[/?]", rest, maxsplit=1)[0]
    path, _, query = rest[len(authority) :].partition("?")
    if authority.count("@") > 1 or "@" in path or ("@" in query and "@" not in authority):
        raise ConfigError("the MongoDB address cannot be read: it has an @ that does not end the password", ENCODE)

    userinfo, _, hosts = authority.rpartition("@")
    given = {key.lower(): value for key, _, value in (option.partition("=") for option in query.split("&"))}
    written = [userinfo.partition(":")[2], *(given.get(option, "") for option in SECRET_OPTIONS)]
    secrets = tuple(filter(None, {*written, *map(unquote_plus, written)}))
    url = f"{scheme}://{rest}"
    address = Address(
        url=url,
        hosts=hosts,
        database=_check(url, options, secrets),
        srv=scheme == "mongodb+srv",
        secrets=secrets,
    )
    for option in UNVERIFIED:
        if given.get(option, "false").lower() != "false":
            raise ConfigError(
                f"the MongoDB address switches off the verification of the server ({option})",
                "Take that option out. A certificate of your own is trusted by tls=true&tlsCAFile=/path/ca.pem.",
            )
    if "." in path:
        raise ConfigError(
            "the path of the MongoDB address has a dot in it",
            "The path names the database alone; the collection is the setting mongodb.collection.",
        )
    if address.database in SERVERS_OWN:
        raise ConfigError(
            f"the MongoDB address would store posts in {address.database!r}, a database of the server's own",
            f"If that is where the user is defined, write /{DATABASE}?authSource={address.database} instead.",
        )
    return address


def _check(url: str, options: Mapping[str, Any], secrets: tuple[str, ...]) -> str:
    """Let the driver judge the address, without connecting; the name of the database."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", UserWarning)
            client: MongoClient[Any] = MongoClient(url, connect=False, **options)
        name = client.get_default_database(DATABASE).name
        client.close()
    except (PyMongoError, ValueError, TypeError, OSError, UserWarning) as error:
        said = str(error)
        if "RFC 3986" in said or "Bad database name" in said or any(secret in said for secret in secrets):
            raise ConfigError("the MongoDB address cannot be read", ENCODE) from None
        raise ConfigError(
            f"the MongoDB address cannot be used: {said}",
            "The options after ? are listed in MongoDB's manual under 'Connection Strings'.",
        ) from None
    return name
