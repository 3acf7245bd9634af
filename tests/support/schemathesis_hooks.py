"""What schemathesis cannot write by itself: the content types of files that are handed in. It loads this by SCHEMATHESIS_HOOKS."""

import schemathesis


@schemathesis.serializer("application/jsonl", "application/x-ndjson", "application/gzip", "application/vnd.apache.parquet")
def as_it_is(_ctx, value):
    """The text that was made up, as bytes: an honest file is in the examples, everything else is rubbish of these types."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
