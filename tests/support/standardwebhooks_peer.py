"""The PyPI package `standardwebhooks` as a peer: one JSON document a line in, one line out.

{"do": "sign", "secret", "id", "second", "body"}  -> the signature
{"do": "verify", "secret", "headers", "body"}     -> "ok", or what it says
"""
import json
import sys
from datetime import datetime, timezone

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

for line in sys.stdin:
    wanted = json.loads(line)
    peer = Webhook(wanted["secret"])
    if wanted["do"] == "sign":
        print(peer.sign(wanted["id"], datetime.fromtimestamp(wanted["second"], tz=timezone.utc), wanted["body"]), flush=True)
        continue
    try:
        peer.verify(wanted["body"], wanted["headers"])
        print("ok", flush=True)
    except WebhookVerificationError as fault:
        print(str(fault), flush=True)
