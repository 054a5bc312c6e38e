//! The vectors of hostfuncs/vectors/codec, which the codecs of all SDKs pass.

use std::path::Path;

use millwright::host::{HttpRequest, HttpResponse, LogRecord};
use millwright::json::{self, Decode, Encode, Value};
use millwright::*;

#[test]
fn codec() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../hostfuncs/vectors/codec");
    let mut wrong = Vec::new();
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let vectors = json::parse(&std::fs::read(&path).unwrap()).unwrap();
        for v in vectors.items() {
            count += 1;
            let text = |name: &str| v.get(name).and_then(Value::as_str).unwrap_or_default();
            let got = again(text("kind"), text("input"));
            let right = match v.get("valid").and_then(Value::as_bool) {
                Some(true) => got.as_deref() == Ok(text("expect")),
                _ => got.is_err(),
            };
            if !right {
                wrong.push(format!("{}: {}\n got {:?}\nwant {}", text("kind"), text("name"), got, text("expect")));
            }
        }
    }
    assert!(count > 300, "only {} vectors", count);
    assert!(wrong.is_empty(), "{} of {} vectors:\n{}", wrong.len(), count, wrong.join("\n"));
}

/// Reads a payload of a kind and writes it again.
fn again(kind: &str, input: &str) -> Result<String, String> {
    fn through<T: Decode + Encode>(input: &str) -> Result<String, String> {
        let v: T = json::decode(&json::parse(input.as_bytes())?)?;
        Ok(String::from_utf8(json::encode(&v)?).unwrap())
    }
    match kind {
        "check_request" => through::<CheckRequest>(input),
        "check_result" => through::<CheckResult>(input),
        "connect_info" => through::<ConnectInfo>(input),
        "connect_request" => through::<ConnectRequest>(input),
        "create_request" => through::<CreateRequest>(input),
        "decrease_request" => through::<DecreaseRequest>(input),
        "decrease_result" => through::<DecreaseResult>(input),
        "describe" => through::<Description>(input),
        "group_info" => through::<GroupInfo>(input),
        "group_request" => through::<GroupRequest>(input),
        "http_request" => through::<HttpRequest>(input),
        "http_response" => through::<HttpResponse>(input),
        "increase_request" => through::<IncreaseRequest>(input),
        "increase_result" => through::<IncreaseResult>(input),
        "instance" => through::<Instance>(input),
        "list_request" => through::<ListRequest>(input),
        "list_result" => through::<ListResult>(input),
        "log_record" => through::<LogRecord>(input),
        "observe_request" => through::<ObserveRequest>(input),
        "proposal" => through::<Proposal>(input),
        "remove_request" => through::<RemoveRequest>(input),
        "result" => through::<Outcome>(input),
        "snapshot" => through::<Snapshot>(input),
        "validate_request" => through::<ValidateRequest>(input),
        "validate_result" => through::<ValidateResult>(input),
        _ => panic!("the kind {:?} is not known", kind),
    }
}
