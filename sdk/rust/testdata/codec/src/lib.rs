//! A policy that runs the vectors of hostfuncs/vectors/codec: its configuration names the kind of a payload and gives its text, and it returns
//! what it writes after reading that as `state`. It also does what a test of the boundary asks for.
#![forbid(unsafe_code)]

use millwright::host::{http_send, log, HttpRequest, HttpResponse, LogRecord};
use millwright::json::{self, Decode, Encode};
use millwright::*;

millwright::policy!(Codec);

pub struct Codec;

millwright::shape! {
    Config {
        kind: String,
        input: String,
    }
}

impl Policy for Codec {
    fn describe(&self) -> Description {
        Description { name: "codec".into(), ..Default::default() }
    }

    fn decide(&self, s: &Snapshot) -> Result<Proposal, Error> {
        let config: Config = json::decode(&s.config)?;
        Ok(Proposal { state: Some(again(&config.kind, &config.input)?), ..Default::default() })
    }

    fn observe(&self, r: &ObserveRequest) -> Result<Option<Value>, Error> {
        let config: Config = json::decode(&r.config)?;
        match config.kind.as_str() {
            "nothing" => Ok(None),
            "panic" => panic!("{}", config.input),
            "log" => {
                log(Level::Info, &config.input, &[("from", "rust")]);
                Ok(None)
            }
            "send" => {
                let answer = http_send(&HttpRequest { method: "POST".into(), body: "ping".into(), ..HttpRequest::get(&config.input) })?;
                Ok(Some(Value::String(format!("{} {}", answer.status, String::from_utf8(answer.body.0)?))))
            }
            kind => Err(format!("no order {:?}", kind).into()),
        }
    }
}

/// Reads a payload of a kind and writes it again.
pub fn again(kind: &str, input: &str) -> Result<String, String> {
    fn through<T: Decode + Encode>(input: &str) -> Result<String, String> {
        let v: T = json::decode(&json::parse(input.as_bytes())?)?;
        String::from_utf8(json::encode(&v)?).map_err(|e| e.to_string())
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
        _ => Err(format!("the kind {:?} is not known", kind)),
    }
}
