"""The app as an MCP server, whose tools are the endpoints of `api.endpoint`, where the package `mcp` is installed.

Gradio's own server fetches addresses, sends files of this machine's disk to whoever names them, and asks the Hub and
the proxies of the environment on the first call.
"""

import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import gradio.mcp
import gradio_client.client
from gradio.processing_utils import save_base64_to_cache
from gradio.utils import get_upload_folder
from gradio_client import handle_file

OFF = "MCP is off: `pip install 'mcp>=1.21,<2'` makes this app an MCP server."
ONLY_DATA = (
    "Give the file as a data URI, as data:image/png;base64,...: the app fetches no addresses and opens no paths."
)
_connecting = threading.Lock()


def is_installed() -> bool:
    """Return whether an app can be an MCP server here."""
    return hasattr(gradio.mcp.GradioMCPServer, "StreamableHTTPSessionManager")  # which Gradio imports, if it can


def _names_file(value: Any) -> bool:
    """Return whether an object in a value names a file: Gradio's client would read it from this machine's disk."""
    if isinstance(value, Mapping):
        return "path" in value or any(map(_names_file, value.values()))
    return isinstance(value, list) and any(map(_names_file, value))


def _arguments(positions: Sequence[Sequence[str | int]]) -> list[str]:
    """Return the arguments that are files; one that holds files inside is none of `api.endpoint`."""
    return [str(name) for name, *inside in positions if not inside]


class Server(gradio.mcp.GradioMCPServer):
    """Gradio's MCP server, which takes files as data URIs only and gives back all outputs."""

    _file_data_tool_description = " Give each file as a data URI; addresses and paths are refused."

    def get_tool_to_endpoint(self) -> dict[str, str]:
        """Name each tool as its endpoint; Gradio names it as the Space and the Python function."""
        self.tool_prefix = ""
        return {name.lstrip("/"): name for name in self.api_info["named_endpoints"]}

    def simplify_filedata_schema(self, schema: dict[str, Any]) -> tuple[dict[str, Any], list[list[str | int]]]:
        """Describe files as data URIs."""
        simple, positions = super().simplify_filedata_schema(schema)
        for argument in simple["properties"].values():
            argument.pop("additional_description", None)  # it is the description, too
        for name in _arguments(positions):
            file = {"type": "string", "format": "data URI of a picture, base64"}
            simple["properties"][name] = file | {"description": simple["properties"][name].get("description", "")}
        return simple, positions

    def convert_strings_to_filedata(self, value: dict[str, Any], filedata_positions: Sequence) -> dict[str, Any]:
        """Turn data URIs into files of Gradio's cache, and refuse all else that names a file."""
        if _names_file(value):
            raise ValueError(ONLY_DATA)
        files = {name: value[name] for name in _arguments(filedata_positions) if value.get(name) is not None}
        return value | {name: self._decoded(uri) for name, uri in files.items()}

    def _decoded(self, uri: Any) -> dict:
        if not (isinstance(uri, str) and uri.startswith("data:") and ";base64," in uri):
            raise ValueError(ONLY_DATA)
        try:
            path = save_base64_to_cache(uri, get_upload_folder())
        except ValueError as fault:
            raise ValueError(ONLY_DATA) from fault
        self.blocks.upload_file_set.add(path)  # so that it is deleted as uploads are
        return handle_file(path)

    def _get_or_create_client(self) -> gradio_client.Client:
        """Make the client by which the app asks itself: past all proxies, without the Hub and its token."""
        with _connecting:
            client, headers = gradio.mcp.Client, gradio_client.client.build_hf_headers
            gradio.mcp.Client = lambda *args, **options: client(*args, **options, httpx_kwargs={"trust_env": False})
            gradio_client.client.build_hf_headers = lambda **_: {}
            try:
                return super()._get_or_create_client()
            finally:
                gradio.mcp.Client, gradio_client.client.build_hf_headers = client, headers

    async def _execute_tool_without_progress(self, job: Any) -> list[Any]:
        """Return each output by itself; Gradio takes several for one."""
        (result,) = await super()._execute_tool_without_progress(job)
        return list(result) if isinstance(result, tuple) else [result]

    def postprocess_output_data(self, data: Sequence, root_url: str) -> list:
        """Give galleries as pictures, each followed by its caption, and objects as JSON."""
        flat: list = []
        for output in data:
            if (
                isinstance(output, list)
                and output
                and all(isinstance(item, dict) and "image" in item for item in output)
            ):
                for item in output:
                    flat += [item["image"], *([item["caption"]] if item.get("caption") else [])]
            elif isinstance(output, dict | list) and not _names_file(output):
                flat.append(json.dumps(output, ensure_ascii=False))
            else:
                flat.append(output)
        return super().postprocess_output_data(flat, root_url)


gradio.mcp.GradioMCPServer = Server  # of every app in this process
