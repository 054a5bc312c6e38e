//! A driver for the cloud of driver_test.go in `sdk`: machines of an owner by their names, over HTTP, with a token that the host signs with.
#![forbid(unsafe_code)]

use millwright::host::{http_send, HttpRequest, HttpResponse, Sign};
use millwright::*;

millwright::driver!(Tiny);

pub struct Tiny;

millwright::shape! {
    /// A machine as the cloud tells of it.
    Server {
        id: String,
        owner: String,
        name: String,
        state: String,
        ip: String,
    }
}

impl Driver for Tiny {
    fn describe(&self) -> Description {
        let option = |name: &str, default: &str, required, help: &str| DriverOption {
            name: name.into(),
            r#type: OptionType::String,
            default: default.into(),
            required,
            help: help.into(),
            ..Default::default()
        };
        Description {
            name: "tiny".into(),
            hostnames: vec!["http://127.0.0.1:*".into()],
            options: vec![
                option("tiny-url", "", true, "where the cloud is"),
                option("tiny-size", "small", false, "small or large"),
                option("tiny-fail", "", false, "the status that the cloud answers with"),
            ],
            ..Default::default()
        }
    }

    fn validate(&self, r: &ValidateRequest) -> Vec<Problem> {
        match one(&r.options, "tiny-size") {
            "small" | "large" => Vec::new(),
            size => vec![Problem::new("tiny-size", &format!("{:?} is no size; use small or large", size))],
        }
    }

    fn create(&self, r: &CreateRequest) -> Result<Instance, DriverError> {
        let answer = ask("PUT", &r.options, &r.owner.id, &r.name, one(&r.options, "tiny-size"))?;
        instance(json::read(&answer.body.0)?)
    }

    fn list(&self, r: &ListRequest) -> Result<ListResult, DriverError> {
        let whose = if r.all_owners { "all" } else { &r.owner.id };
        let answer = ask("GET", &r.options, whose, "", "")?;
        let servers: Vec<Server> = json::read(&answer.body.0)?;
        let instances = servers.into_iter().map(instance).collect::<Result<_, _>>()?;
        Ok(ListResult { instances, complete: answer.header("X-Partial").is_none() })
    }

    fn remove(&self, r: &RemoveRequest) -> Result<(), DriverError> {
        match ask("DELETE", &r.options, &r.owner.id, &r.name, "") {
            Err(e) if e.kind == ErrorKind::NotFound => Ok(()),
            Err(e) => Err(e),
            Ok(_) => Ok(()),
        }
    }
}

/// The value of an option that has one.
fn one<'a>(options: &'a Options, name: &str) -> &'a str {
    options.get(name).and_then(|values| values.first()).map_or("", String::as_str)
}

fn instance(s: Server) -> Result<Instance, DriverError> {
    let status = match s.state.as_str() {
        "BOOTING" => Status::Creating,
        "ACTIVE" => Status::Running,
        _ => Status::Unknown,
    };
    let state = json::parse(br#"{"zone":"a"}"#)?;
    Ok(Instance { name: s.name, owner: s.owner, id: s.id, status, address: s.ip, state, ..Default::default() })
}

/// Sends one request and turns what is no success into an error of its kind.
fn ask(method: &str, options: &Options, owner: &str, name: &str, body: &str) -> Result<HttpResponse, DriverError> {
    let fail = one(options, "tiny-fail");
    let answer = http_send(&HttpRequest {
        method: method.into(),
        url: format!("{}/{}/{}?fail={}", one(options, "tiny-url"), owner, name, fail),
        body: body.into(),
        sign: Some(Sign::new("header", "cloud")),
        ..Default::default()
    })?;
    let kind = match answer.status {
        200 => return Ok(answer),
        401 | 403 => ErrorKind::Auth,
        404 => ErrorKind::NotFound,
        409 => ErrorKind::Conflict,
        422 => ErrorKind::Invalid,
        429 => ErrorKind::RateLimited,
        503 => ErrorKind::Capacity,
        507 => ErrorKind::Quota,
        _ => ErrorKind::Transient,
    };
    let retry_after_s = answer.header("Retry-After").and_then(|s| s.parse().ok()).unwrap_or(0);
    Err(DriverError { code: answer.status.to_string(), retry_after_s, ..DriverError::new(kind, &String::from_utf8_lossy(&answer.body.0)) })
}
