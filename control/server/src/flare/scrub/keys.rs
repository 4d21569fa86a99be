//! Which names of values are secret, and trees whose values are.

use greyhound_config::secret::MASK;
use serde_json::Value;

use super::lines::is_reference;
use super::tail;

/// Secret by their whole name.
const EXACT: [&str; 27] = [
    "accesstoken",
    "auth-tenantid",
    "auth_key",
    "authentication_key",
    "authkey",
    "authority",
    "authorization",
    "cainzapp-api-key",
    "cms-svc-api-key",
    "community",
    "community_string",
    "community_strings",
    "consumer_key",
    "cookie",
    "dd-api-key",
    "kong-admin-token",
    "lodauth",
    "priv_key",
    "privacy_key",
    "private-token",
    "privkey",
    "proxy-authorization",
    "sec-websocket-key",
    "session_token",
    "set-cookie",
    "statuskey",
    "token_id",
];

/// Secret by how they end.
const ENDINGS: [&str; 9] = [
    "private_key",
    "private-key",
    "token",
    "jwt",
    "secret",
    "_secret_id",
    "access_key",
    "secret_key",
    "credentials",
];

/// Secret by what they contain.
const PARTS: [&str; 2] = ["pass", "pwd"];

/// Keys of headers, when they begin with `x-`.
const HEADER_ENDINGS: [&str; 4] = ["key", "token", "auth", "secret"];

/// Whether the value under a key is a secret of which nothing stays visible.
pub(super) fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let ends = |endings: &[&str]| endings.iter().any(|ending| key.ends_with(ending));
    EXACT.binary_search(&key.as_str()).is_ok()
        || ends(&ENDINGS)
        || PARTS.iter().any(|part| key.contains(part))
        || (key.starts_with("x-") && ends(&HEADER_ENDINGS))
}

/// Whether a key names a key of an intake, whose end stays visible.
pub(super) fn is_api_key(key: &str) -> bool {
    const NAMES: [&str; 4] = ["apikey", "appkey", "applicationkey", "apikeys"];
    let plain: String = key
        .chars()
        .filter(|c| !matches!(c, '_' | '-'))
        .map(|c| c.to_ascii_lowercase())
        .collect();
    NAMES.iter().any(|name| plain.ends_with(name)) && !is_secret(key)
}

/// Masks the values under secret keys, at any depth. References to secrets (`ENC[…]`) stay.
pub(super) fn scrub(value: &mut Value, is_secret: &dyn Fn(&str) -> bool) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| scrub(item, is_secret)),
        Value::Object(entries) => {
            for (key, value) in entries.iter_mut() {
                let is_endpoints = key.to_ascii_lowercase().ends_with("additional_endpoints");
                if is_api_key(key) || (is_endpoints && value.is_object()) {
                    mask_leaves(value);
                } else if is_secret(key) {
                    replace(value);
                } else {
                    scrub(value, is_secret);
                }
            }
            hide_named(entries, is_secret);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// `{"key": "api_key", "value": …}`: the name is a value of its own.
fn hide_named(entries: &mut serde_json::Map<String, Value>, is_secret: &dyn Fn(&str) -> bool) {
    let named = ["key", "name", "setting"]
        .into_iter()
        .filter_map(|field| entries.get(field)?.as_str())
        .any(|name| {
            let last = name.rsplit('.').next().unwrap_or(name);
            is_secret(last) || is_api_key(last)
        });
    if let Some(value) = entries.get_mut("value").filter(|_| named) {
        replace(value);
    }
}

/// Nothing of it stays, whatever it is; yes and no tell nothing.
fn replace(value: &mut Value) {
    let keeps = match value {
        Value::Null | Value::Bool(_) => true,
        Value::String(text) => text.is_empty() || is_reference(text),
        Value::Number(_) | Value::Array(_) | Value::Object(_) => false,
    };
    if !keeps {
        *value = MASK.into();
    }
}

fn mask_leaves(value: &mut Value) {
    match value {
        Value::String(text) if is_reference(text) => {}
        Value::String(text) => *text = tail::of_value(text),
        Value::Array(items) => items.iter_mut().for_each(mask_leaves),
        Value::Object(entries) => entries.iter_mut().for_each(|(_, value)| mask_leaves(value)),
        Value::Number(_) => *value = MASK.into(),
        Value::Null | Value::Bool(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn exact_names_are_sorted_for_the_search() {
        assert!(EXACT.is_sorted());
    }

    #[test]
    fn names_tell_secrets_from_their_neighbours() {
        for key in [
            "password",
            "bypass",
            "db_pwd",
            "auth_token",
            "Authorization",
            "authKey",
            "privKey",
            "client_secret",
            "vault_secret_id",
            "aws_access_key",
            "tls_private_key",
            "X-Vault-Token",
            "x-api-key",
            "session_token",
            "cookie",
            "community",
            "my_jwt",
            "consumer_key",
        ] {
            assert!(is_secret(key), "{key}");
        }
        for key in [
            "auth_token_file_path",
            "secret_backend_command",
            "tokenizer",
            "communities",
            "key",
            "dogstatsd_port",
            "token_count",
            "cookies_seen",
        ] {
            assert!(!is_secret(key), "{key}");
        }
        assert!(is_api_key("api_key") && is_api_key("dd-app-key") && is_api_key("DD_APIKEY"));
        assert!(!is_api_key("forwarder_apikey_validation_interval"));
    }

    #[test]
    fn trees_are_masked_by_key() {
        let mut tree = json!({
            "api_key": "aabbccddeeff00112233445566778899",
            "app_key": 17,
            "empty": { "password": "" },
            "password": "ENC[db]",
            "nested": [{ "auth_token": "abc", "auth_token_file_path": "/etc/x" }],
            "additional_endpoints": { "https://a": ["key-one-long", "k2"] },
            "settings": [{ "key": "proxy.password", "value": "x" }, { "key": "site", "value": "y" }],
            "token": { "deep": "gone" },
        });
        scrub(&mut tree, &is_secret);
        assert_eq!(
            tree,
            json!({
                "api_key": "****************************8899",
                "app_key": "********",
                "empty": { "password": "" },
                "password": "ENC[db]",
                "nested": [{ "auth_token": "********", "auth_token_file_path": "/etc/x" }],
                "additional_endpoints": { "https://a": ["**********ng", "********"] },
                "settings": [{ "key": "proxy.password", "value": "********" }, { "key": "site", "value": "y" }],
                "token": "********",
            })
        );
    }
}
