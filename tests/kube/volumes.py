"""What a pod gets to see of ConfigMaps, Secrets and tokens: files that are renewed in place, and environment variables.

Files are swapped as the kubelet does it: a new folder, then one link `..data` that changes over, so that a reader sees
all of the old or all of the new.
"""

import base64
import shutil
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

Object = dict[str, Any]
Get = Callable[[str], Awaitable[Object]]
"""Asks the API server for the object at a path; raises when there is none."""
Token = Callable[[str, str], Awaitable[str]]
"""A token for a service account, by namespace and name."""


async def contents(volume: Object, pod: Object, get: Get, token: Token) -> dict[str, bytes]:
    """The files of a volume; none for an empty one."""
    namespace = pod["metadata"]["namespace"]
    match volume:
        case {"configMap": source}:
            return await _config_map(source["name"], source, namespace, get)
        case {"secret": source}:
            return await _secret(source["secretName"], source, namespace, get)
        case {"projected": {"sources": sources}}:
            merged: dict[str, bytes] = {}
            for source in sources:
                merged |= await _projected(source, pod, get, token)
            return merged
        case {"emptyDir": _}:
            return {}
    raise ValueError(f"a kind of volume that this kubelet does not know: {volume}")


async def _config_map(name: str, source: Object, namespace: str, get: Get) -> dict[str, bytes]:
    found = await get(f"/api/v1/namespaces/{namespace}/configmaps/{name}")
    files = {key: text.encode() for key, text in found.get("data", {}).items()}
    return _chosen(files, source)


async def _secret(name: str, source: Object, namespace: str, get: Get) -> dict[str, bytes]:
    found = await get(f"/api/v1/namespaces/{namespace}/secrets/{name}")
    files = {key: base64.b64decode(text) for key, text in found.get("data", {}).items()}
    return _chosen(files, source)


def _chosen(files: Mapping[str, bytes], source: Object) -> dict[str, bytes]:
    if "items" not in source:
        return dict(files)
    return {item["path"]: files[item["key"]] for item in source["items"]}


async def _projected(source: Object, pod: Object, get: Get, token: Token) -> dict[str, bytes]:
    namespace = pod["metadata"]["namespace"]
    match source:
        case {"serviceAccountToken": wanted}:
            made = await token(namespace, pod["spec"]["serviceAccountName"])
            return {wanted["path"]: made.encode()}
        case {"configMap": inner}:
            return await _config_map(inner["name"], inner, namespace, get)
        case {"secret": inner}:
            return await _secret(inner["name"], inner, namespace, get)
        case {"downwardAPI": {"items": items}}:
            return {item["path"]: field(pod, item["fieldRef"]["fieldPath"]).encode() for item in items}
    raise ValueError(f"a projected source that this kubelet does not know: {source}")


def field(pod: Object, path: str) -> str:
    """A field of a pod by its path, as metadata.namespace."""
    here: Any = pod
    for part in path.split("."):
        here = here[part]
    return str(here)


def write(folder: Path, files: Mapping[str, bytes], *, generation: int) -> None:
    """Put files into the folder of a volume, in one step."""
    fresh = folder / f"..{generation}"
    for name, data in files.items():
        (fresh / name).parent.mkdir(parents=True, exist_ok=True)
        (fresh / name).write_bytes(data)
    fresh.mkdir(parents=True, exist_ok=True)
    link = folder / "..data"
    old = link.readlink() if link.is_symlink() else None
    swapped = folder / "..data_new"
    swapped.symlink_to(fresh.name)
    swapped.replace(link)
    tops = {Path(name).parts[0] for name in files}
    for top in tops:
        if not (folder / top).is_symlink():
            (folder / top).symlink_to(f"..data/{top}")
    for entry in folder.iterdir():
        if not entry.name.startswith("..") and entry.name not in tops:
            entry.unlink()
    if old:
        shutil.rmtree(folder / old)


async def environment(container: Object, pod: Object, get: Get) -> dict[str, str]:
    """The variables of a container. Raises KeyError when a required key is missing."""
    namespace = pod["metadata"]["namespace"]
    found: dict[str, str] = {}
    for entry in container.get("env", []):
        match entry.get("valueFrom"):
            case None:
                found[entry["name"]] = str(entry.get("value", ""))
            case {"secretKeyRef": ref}:
                secret = await get(f"/api/v1/namespaces/{namespace}/secrets/{ref['name']}")
                found[entry["name"]] = base64.b64decode(secret["data"][ref["key"]]).decode()
            case {"fieldRef": ref}:
                found[entry["name"]] = field(pod, ref["fieldPath"])
            case other:
                raise ValueError(f"a source of a variable that this kubelet does not know: {other}")
    return found
