# SPDX-License-Identifier: Apache-2.0
"""As much of DynamoDB as the tests need, where neither DynamoDB Local nor
dynalite is installed: dynamodb_standin.py PORT [CREATE_MS].

Tables in memory, condition and update expressions with their names and values,
pages of 100 KiB, transactions. What DynamoDB refuses is refused: reserved words
without "#", values that nothing uses, keys that do not fit the table.
"""
import base64
import http.server
import json
import re
import sys
import threading
import time
import uuid
import zlib

RESERVED = {"round", "value", "values", "name", "names", "key", "hash", "range", "data", "date", "level", "status", "size", "state", "table", "type", "user"}
PAGE = 100 * 1024
TOKEN = re.compile(r"\s*(?:(#?[A-Za-z_][A-Za-z0-9_]*|:[A-Za-z0-9_]+)|(<=|>=|<>|=|<|>|\(|\)|,))")


class Refused(Exception):
    def __init__(self, code, message="", **more):
        super().__init__(code)
        self.code, self.message, self.more = code, message, more


def invalid(message):
    return Refused("ValidationException", message)


class Expression:
    """Tokens of one expression, with the request's names and values."""

    def __init__(self, text, request, item, used):
        self.tokens, at = [], 0
        while text[at:].strip():
            m = TOKEN.match(text, at)
            if not m:
                raise invalid("Syntax error near " + text[at:])
            self.tokens.append(m.group(1) or m.group(2))
            at = m.end()
        self.names = request.get("ExpressionAttributeNames", {})
        self.values = request.get("ExpressionAttributeValues", {})
        self.item, self.used = item, used

    def peek(self):
        return self.tokens[0] if self.tokens else ""

    def take(self, expected=None):
        if not self.tokens or (expected and self.tokens[0] != expected):
            raise invalid("Syntax error: expected " + str(expected))
        return self.tokens.pop(0)

    def name(self):
        t = self.take()
        if t.startswith("#"):
            if t not in self.names:
                raise invalid("undefined name " + t)
            self.used.add(t)
            return self.names[t]
        if t.lower() in RESERVED:
            raise invalid("Attribute name is a reserved keyword: " + t)
        return t

    def operand(self):
        if self.peek().startswith(":"):
            t = self.take()
            if t not in self.values:
                raise invalid("undefined value " + t)
            self.used.add(t)
            return self.values[t]
        return self.item.get(self.name())

    def condition(self):
        left = self.conjunction()
        while self.peek().upper() == "OR":
            self.take()
            right = self.conjunction()
            left = left or right
        return left

    def conjunction(self):
        left = self.term()
        while self.peek().upper() == "AND":
            self.take()
            right = self.term()
            left = left and right
        return left

    def term(self):
        if self.peek() == "(":
            self.take()
            result = self.condition()
            self.take(")")
            return result
        if self.peek() in ("attribute_exists", "attribute_not_exists"):
            exists = self.take() == "attribute_exists"
            self.take("(")
            name = self.name()
            self.take(")")
            return (name in self.item) == exists
        left, op, right = self.operand(), self.take(), self.operand()
        return compare(left, op, right)

    def update(self):
        changes = dict(self.item)
        while self.tokens:
            verb = self.take().upper()
            if verb not in ("SET", "REMOVE"):
                raise invalid("Syntax error: " + verb)
            while True:
                name = self.name()
                if verb == "SET":
                    self.take("=")
                    changes[name] = self.operand()
                else:
                    changes.pop(name, None)
                if self.peek() != ",":
                    break
                self.take()
        return changes


def compare(left, op, right):
    if left is None or right is None or set(left) != set(right):
        return op == "<>"
    kind = next(iter(left))
    a, b = left[kind], right[kind]
    if kind == "N":
        a, b = int(a), int(b)
    elif kind == "B":
        a, b = base64.b64decode(a), base64.b64decode(b)
    return {"=": a == b, "<>": a != b, "<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[op]


class Table:
    def __init__(self, request, create_ms):
        self.request, self.items = request, {}
        self.keys = [k["AttributeName"] for k in sorted(request["KeySchema"], key=lambda k: k["KeyType"])]
        self.types = {a["AttributeName"]: a["AttributeType"] for a in request["AttributeDefinitions"]}
        if set(self.keys) != set(self.types):
            raise invalid("AttributeDefinitions and KeySchema differ")
        self.active_at = time.monotonic() + create_ms / 1000

    def key(self, item, exact):
        if exact and set(item) != set(self.keys):
            raise invalid("The provided key element does not match the schema")
        for k in self.keys:
            if set(item.get(k, {})) != {self.types[k]}:
                raise invalid("Type mismatch or missing for key " + k)
        return tuple(json.dumps(item[k]) for k in self.keys)

    def describe(self):
        billing = self.request.get("BillingMode", "PROVISIONED")
        return {"TableName": self.request["TableName"], "KeySchema": self.request["KeySchema"],
                "AttributeDefinitions": self.request["AttributeDefinitions"], "ItemCount": len(self.items),
                "TableStatus": "ACTIVE" if time.monotonic() >= self.active_at else "CREATING",
                "BillingModeSummary": {"BillingMode": billing}}


class Store:
    def __init__(self, create_ms):
        self.tables, self.create_ms, self.lock = {}, create_ms, threading.Lock()

    def call(self, action, request):
        with self.lock:
            return getattr(self, "do_" + action)(request)

    def table(self, request):
        t = self.tables.get(request["TableName"])
        if t is None or time.monotonic() < t.active_at:
            raise Refused("ResourceNotFoundException", "Requested resource not found")
        return t

    def do_ListTables(self, _):
        return {"TableNames": sorted(self.tables)}

    def do_CreateTable(self, r):
        if not re.fullmatch(r"[A-Za-z0-9_.-]{3,255}", r["TableName"]):
            raise invalid("TableName")
        if r["TableName"] in self.tables:
            raise Refused("ResourceInUseException", "Table already exists: " + r["TableName"])
        t = self.tables[r["TableName"]] = Table(r, self.create_ms)
        return {"TableDescription": t.describe()}

    def do_DescribeTable(self, r):
        if not re.fullmatch(r"[A-Za-z0-9_.-]{3,255}", r["TableName"]):
            raise invalid("TableName")
        if r["TableName"] not in self.tables:
            raise Refused("ResourceNotFoundException", "Requested resource not found")
        return {"Table": self.tables[r["TableName"]].describe()}

    def do_GetItem(self, r):
        t = self.table(r)
        item = t.items.get(t.key(r["Key"], True))
        return {"Item": item} if item is not None else {}

    def change(self, r):
        """(table, key, new item) of a PutItem or UpdateItem, its condition checked."""
        t, used = self.table(r), set()
        put = "Item" in r
        key = t.key(r["Item"] if put else r["Key"], not put)
        old = t.items.get(key)
        holds = True
        if "ConditionExpression" in r:
            e = Expression(r["ConditionExpression"], r, old or {}, used)
            holds = e.condition()
            if e.tokens:
                raise invalid("Syntax error near " + e.tokens[0])
        new = r["Item"] if put else Expression(r.get("UpdateExpression", ""), r, old or dict(r["Key"]), used).update()
        unused = (set(r.get("ExpressionAttributeNames", {})) | set(r.get("ExpressionAttributeValues", {}))) - used
        if unused:
            raise invalid("unused in expressions: " + ", ".join(sorted(unused)))
        for v in new.values():
            if set(v) == {"B"}:
                base64.b64decode(v["B"], validate=True)
        return t, key, new, holds

    def do_PutItem(self, r):
        t, key, new, holds = self.change(r)
        if not holds:
            raise Refused("ConditionalCheckFailedException", "The conditional request failed")
        t.items[key] = new
        return {}

    do_UpdateItem = do_PutItem

    def do_TransactWriteItems(self, r):
        changes = [self.change(next(iter(one.values()))) for one in r["TransactItems"]]
        if len({(id(t), key) for t, key, _, _ in changes}) != len(changes):
            raise invalid("Transaction request cannot include multiple operations on one item")
        if not all(holds for _, _, _, holds in changes):
            reasons = [{"Code": "None" if holds else "ConditionalCheckFailed"} for _, _, _, holds in changes]
            raise Refused("TransactionCanceledException", "Transaction cancelled", CancellationReasons=reasons)
        for t, key, new, _ in changes:
            t.items[key] = new
        return {}

    def do_Scan(self, r):
        t = self.table(r)
        start = t.key(r["ExclusiveStartKey"], True) if "ExclusiveStartKey" in r else None
        out, size = [], 0
        for key in sorted(t.items):
            if start is not None and key <= start:
                continue
            out.append(t.items[key])
            size += len(json.dumps(t.items[key]))
            if size >= PAGE:
                return {"Items": out, "Count": len(out), "LastEvaluatedKey": {k: t.items[key][k] for k in t.keys}}
        return {"Items": out, "Count": len(out)}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        action = self.headers.get("X-Amz-Target", "").removeprefix("DynamoDB_20120810.")
        status = 200
        try:
            if "Authorization" not in self.headers:
                raise Refused("MissingAuthenticationTokenException", "Request must contain authentication")
            if not hasattr(Store, "do_" + action):
                raise Refused("UnknownOperationException")
            reply = self.server.store.call(action, json.loads(body))
        except Refused as e:
            status = 400
            reply = {"__type": "com.amazonaws.dynamodb.v20120810#" + e.code, "message": e.message, **e.more}
        except (KeyError, ValueError, TypeError) as e:
            status, reply = 400, {"__type": "com.amazon.coral.service#SerializationException", "message": repr(e)}
        data = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("x-amzn-RequestId", str(uuid.uuid4()))
        self.send_header("x-amz-crc32", str(zlib.crc32(data)))
        self.end_headers()
        self.wfile.write(data)


if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
    server.daemon_threads = True
    server.store = Store(int(sys.argv[2]) if len(sys.argv) > 2 else 50)
    server.serve_forever()
