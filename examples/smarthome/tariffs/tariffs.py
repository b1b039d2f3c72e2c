#!/usr/bin/env python3
"""The tariffs of the power company, as an MCP server: JSON-RPC over its pipes, one message a line. Only Python's standard library is
needed. It keeps nothing and reads no clock, so `state: none` in domain.yaml.
"""

import json
import sys

# By region: the hour from which power is cheapest, and its price in cents per kWh.
CHEAPEST = {"north": ("02:00", 11), "south": ("13:00", 9), "east": ("23:00", 14)}
TOOL = {
    "name": "cheap_hours",
    "description": "Look up from what time power is cheapest in a region, for four hours, and its price in cents.",
    "inputSchema": {
        "type": "object",
        "properties": {"region": {"type": "string", "enum": sorted(CHEAPEST)}},
        "required": ["region"],
        "additionalProperties": False,
    },
}


def call(params):
    if params.get("name") != TOOL["name"]:
        return failed(f"there is no tool {params.get('name')}")
    region = (params.get("arguments") or {}).get("region")
    if region not in CHEAPEST:
        return failed(f"there is no region {region}")
    begin, cents = CHEAPEST[region]
    return {"content": [{"type": "text", "text": json.dumps({"from": begin, "cents": cents})}], "isError": False}


def failed(why):
    return {"content": [{"type": "text", "text": why}], "isError": True}


def answer(method, params):
    if method == "initialize":
        info = {"name": "tariffs", "version": "1"}
        return {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": info}
    if method == "tools/list":
        return {"tools": [TOOL]}
    if method == "tools/call":
        return call(params)
    return {} if method == "ping" else None


for line in sys.stdin:
    request = json.loads(line)
    if "id" not in request:
        continue
    result = answer(request["method"], request.get("params") or {})
    reply = {"jsonrpc": "2.0", "id": request["id"]}
    if result is None:
        reply["error"] = {"code": -32601, "message": f"there is no method {request['method']}"}
    else:
        reply["result"] = result
    print(json.dumps(reply), flush=True)
