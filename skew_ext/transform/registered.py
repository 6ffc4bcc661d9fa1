"""The source that Feast registers for a shared transform: it imports the function, and carries what it was made of.

Feast rebuilds a view's function by executing its registered text, where no global of the original is to be seen, and
tells an edit by that text alone. So the text is generated: it imports the shared function inside its body, carries the
fingerprint, and below it in comments the manifest, so that `feast plan` shows which line of which helper changed, and
`skew transforms diff` can tell it long after the code has gone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import dropwhile
from typing import Final

from skew_ext.transform.fingerprint import Manifest

FINGERPRINT_TAG: Final = "skew.fingerprint"
TRANSFORM_TAG: Final = "skew.transform"
VERSION_TAG: Final = "skew.transform_version"

_MARK: Final = "# What the fingerprint is taken over:"
_TEXT: Final = '''\
def shared_transform(columns):
    """Run {reference}, version {version}.

    {tag}: {fingerprint}
    """
    from {module} import {name}

    return {name}.on_demand(columns, {carriers})


{mark}
{manifest}
'''


def registered_text(reference: str, version: str, manifest: Manifest, carriers: Mapping[str, str]) -> str:
    """Give the source of the view of a transform; `carriers` is what `on_demand` takes as names."""
    module, _, name = reference.partition(":")
    lines = json.dumps(manifest.as_dict(), indent=1).splitlines()
    return _TEXT.format(
        reference=reference,
        version=_in_docstring(version),
        tag=FINGERPRINT_TAG,
        fingerprint=manifest.fingerprint,
        module=module,
        name=name,
        carriers=dict(carriers),
        mark=_MARK,
        manifest="\n".join(f"# {line}" for line in lines),
    )


def _in_docstring(text: str) -> str:
    return ascii(str(text))[1:-1].replace('"', "'")


def registered_manifest(text: str) -> Manifest | None:
    """Read the manifest back out of a registered source, or None if it carries none."""
    lines = list(dropwhile(lambda line: line != _MARK, text.splitlines()))[1:]
    try:
        return Manifest.from_dict(json.loads("\n".join(line.removeprefix("# ") for line in lines)))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
