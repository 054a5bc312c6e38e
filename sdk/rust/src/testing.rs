//! The local test harness: it runs a module natively on the bytes that the host would send. A case is a file `NAME.json`, which the tests of all
//! languages share:
//!
//! ```json
//! { "about": "two jobs run", "export": "decide", "input": {"demand": {"running": 2}}, "output": {"idle_target": 4} }
//! ```
//!
//! `export` is `decide` unless told. Instead of `output` there may be `error`, a part of the error's text. A file may also hold a list of cases.

use std::cell::RefCell;
use std::path::Path;

use crate::host::{HttpError, HttpRequest, HttpResponse};
use crate::json::{self, Value};
use crate::{Driver, Error, Policy};

type Server = Box<dyn Fn(&HttpRequest) -> HttpResponse>;

thread_local! {
    static SERVER: RefCell<Option<Server>> = RefCell::new(None);
}

/// Answers the requests that this thread sends natively from now on by [`host::http_send`](crate::host::http_send).
pub fn answer(server: impl Fn(&HttpRequest) -> HttpResponse + 'static) {
    SERVER.with(|s| *s.borrow_mut() = Some(Box::new(server)));
}

pub(crate) fn answered(request: &HttpRequest) -> HttpResponse {
    SERVER.with(|s| match &*s.borrow() {
        Some(server) => server(request),
        None => HttpResponse {
            error: Some(HttpError { kind: "denied".to_string(), message: "the test answers no request; call testing::answer".to_string() }),
            ..Default::default()
        },
    })
}

/// Runs a policy on every case of a folder, twice each, and panics with all that differ.
pub fn policy_cases(policy: &dyn Policy, folder: impl AsRef<Path>) {
    cases(folder.as_ref(), &|export, input| policy.call_export(export, input))
}

/// Runs a driver on every case of a folder, twice each, and panics with all that differ.
pub fn driver_cases(driver: &dyn Driver, folder: impl AsRef<Path>) {
    cases(folder.as_ref(), &|export, input| driver.call_export(export, input))
}

type Call<'a> = &'a dyn Fn(&str, &[u8]) -> Result<Vec<u8>, Error>;

fn cases(folder: &Path, call: Call) {
    let mut count = 0;
    let mut wrong = Vec::new();
    for (name, case) in read(folder) {
        count += 1;
        if let Err(why) = run(&case, call) {
            wrong.push(format!("{}: {}", name, why));
        }
    }
    assert!(count > 0, "{} holds no case", folder.display());
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), count, wrong.join("\n"));
}

/// Reads all cases of a folder, with names for messages.
fn read(folder: &Path) -> Vec<(String, Value)> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {}", folder.display(), e));
    let mut paths: Vec<_> = entries.filter_map(|e| Some(e.ok()?.path())).filter(|p| p.extension().map_or(false, |e| e == "json")).collect();
    paths.sort();
    let mut out = Vec::new();
    for path in paths {
        let data = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {}", path.display(), e));
        let one = json::parse(&data).unwrap_or_else(|e| panic!("{}: {}", path.display(), e));
        let all = match one {
            Value::Array(items) => items,
            one => vec![one],
        };
        for case in all {
            let about = case.get("about").and_then(Value::as_str).unwrap_or("").to_string();
            out.push((format!("{}: {}", path.display(), about), case));
        }
    }
    out
}

fn run(case: &Value, call: Call) -> Result<(), String> {
    let export = case.get("export").and_then(Value::as_str).unwrap_or("decide");
    let input = json::encode(case.get("input").unwrap_or(&Value::Null))?;
    let first = call(export, &input).map_err(|e| e.to_string());
    if first != call(export, &input).map_err(|e| e.to_string()) {
        return Err("the same input gave two different outputs".to_string());
    }
    match (first, case.get("error").and_then(Value::as_str), case.get("output")) {
        (Err(e), Some(want), _) if e.contains(want) => Ok(()),
        (Err(e), Some(want), _) => Err(format!("got the error {:?}, want {:?}", e, want)),
        (Err(e), None, _) => Err(format!("got the error {:?}", e)),
        (Ok(out), None, Some(want)) if json::parse(&out).map_or(false, |v| same(&v, want)) => Ok(()),
        (Ok(out), want, _) => {
            let want = want.map(|e| Ok(e.as_bytes().to_vec())).unwrap_or_else(|| json::encode(case.get("output").unwrap_or(&Value::Null)))?;
            Err(format!("\n got {}\nwant {}", String::from_utf8_lossy(&out), String::from_utf8_lossy(&want)))
        }
    }
}

/// Compares two values; the order of members does not matter.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => x.len() == y.len() && x.iter().all(|(name, v)| b.get(name).map_or(false, |w| same(v, w))),
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(v, w)| same(v, w)),
        _ => a == b || (a.as_f64().is_some() && a.as_f64() == b.as_f64()),
    }
}
