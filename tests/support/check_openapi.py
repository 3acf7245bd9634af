"""Reads an OpenAPI document from standard input; prints every fault, a line each, and ends with 1 when there is one."""

import json
import sys

from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

document = json.load(sys.stdin)
faults = [f"not OpenAPI 3.1: {'/'.join(map(str, e.absolute_path))}: {e.message}" for e in OpenAPIV31SpecValidator(document).iter_errors()]
checked = 0


def check(where, schema, example):
    """An example against its schema; references lead into the document's components."""
    global checked
    checked += 1
    whole = {"allOf": [schema], "components": document["components"]}
    validator = Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER)
    faults.extend(f"{where}: {'/'.join(map(str, e.absolute_path))}: {e.message[:300]}" for e in validator.iter_errors(example))


ids = set()
for path, operations in document["paths"].items():
    for method, operation in operations.items():
        name = operation["operationId"]
        if name in ids:
            faults.append(f"{name}: its id is taken")
        ids.add(name)
        for needed in ("summary", "tags", "responses", "description"):
            if not operation.get(needed):
                faults.append(f"{name}: without {needed}")
        for parameter in operation["parameters"]:
            if "example" in parameter:
                check(f"{name} parameter {parameter['name']}", parameter["schema"], parameter["example"])
        for content_type, content in operation.get("requestBody", {}).get("content", {}).items():
            if content.get("example") is None:
                faults.append(f"{name}: its body as {content_type} has no example")
            else:
                check(f"{name} body {content_type}", content["schema"], content["example"])
        for status, reply in operation["responses"].items():
            for content_type, content in reply.get("content", {}).items():
                if "example" not in content:
                    faults.append(f"{name}: {status} as {content_type} has no example")
                else:
                    check(f"{name} {status} {content_type}", content["schema"], content["example"])
        if not any(status.startswith("2") for status in operation["responses"]):
            faults.append(f"{name}: no answer of success")

print("\n".join(faults) if faults else f"{len(ids)} operations, {checked} examples")
sys.exit(bool(faults))
