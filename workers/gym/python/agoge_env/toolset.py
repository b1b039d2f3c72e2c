"""The session's tools, through the tool server that verifiers starts for its harnesses."""

from typing import Any, cast

from mcp.server.mcpserver import Context, MCPServer
from mcp.types import CallToolResult, TextContent, Tool
from verifiers.v1.mcp import SharedToolsetConfig, Toolset

from @MODULE@.server import AgogeState, raised


class AgogeToolset(Toolset[SharedToolsetConfig, AgogeState]):
    TOOL_PREFIX = None

    def register(self, mcp: MCPServer) -> None:
        # The tools are the server's own, with their schemas; none is written down here.
        server = cast(Any, mcp)
        server.list_tools = self._with_state(self.list_tools)
        server.call_tool = self._with_state(self.call_tool)

    async def list_tools(self) -> list[Tool]:
        functions = [tool["function"] for tool in self.state.tools]
        return [
            Tool(name=one["name"], description=one["description"], input_schema=one["parameters"])
            for one in functions
        ]

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context | None = None
    ) -> CallToolResult:
        response = await self.state.post("call", {"name": name, "arguments": arguments})
        result = raised(response).json()
        text = TextContent(type="text", text=result["content"])
        return CallToolResult(content=[text], is_error=result["error"])


if __name__ == "__main__":
    AgogeToolset.run()
