"""What holds for every answer of the control port, beside its OpenAPI document. Loaded by schemathesis."""

import json

import schemathesis

# Where the Agent answers 500 to a mistake of the client, and clients compare the words.
AGENTS_500 = {
    ("POST", "/agent/config/{setting}"),
    ("DELETE", "/agent/config/{setting}"),
    ("GET", "/agent/{component}/status"),
    ("POST", "/agent/flare"),
}


@schemathesis.check
def a_server_error_has_a_reason(ctx, response, case):
    """500 only in the Agent's places, 503 only where a part is off, and never a mistake of ours."""
    text = response.content.decode("utf-8", "replace")
    assert "internal error" not in text, f"a handler broke: {text[:200]}"
    if response.status_code == 500:
        assert (case.method, case.path) in AGENTS_500, text[:200]
        assert len(text) > 10, "a refusal without a reason"
    elif response.status_code == 503:
        reason = json.loads(text)["error"]
        assert "greyhound." in reason or "cannot be counted here" in reason, reason
    else:
        assert response.status_code < 500, response.status_code


@schemathesis.check
def a_wrong_method_is_answered_as_by_the_agent(ctx, response, case):
    """405 without a body, and only to methods the document does not have."""
    if response.status_code == 405:
        assert response.content == b"", response.content[:200]
        assert "allow" not in response.headers
        declared = {method.upper() for method in case.operation.schema[case.path]}
        assert case.method not in declared, case.method
    elif response.status_code == 404 and not response.content.startswith(b"{"):
        assert response.content == b"404 page not found\n", response.content[:200]


@schemathesis.check
def what_clients_sent_is_not_shown_raw(ctx, response, case):
    """No control characters but line ends and tabs, whatever was asked."""
    if response.content.startswith(b"PK"):
        return
    raw = {byte for byte in response.content if byte < 0x20} - set(b"\n\t\r")
    assert not raw, f"control characters {raw} in {response.content[:200]!r}"
