//! What a guest can ask of its host: to write a line to the agent's log, and to send an HTTP request to a hostname that it was granted. There
//! is nothing else: a guest has no files, no environment, no sockets and a clock that stands still.
//!
//! In a module the calls go to the host functions of hostfuncs/ABI.md. On any other target the log goes to stderr, and requests are
//! answered by what the test set with [`testing::answer`](crate::testing::answer).

use std::collections::BTreeMap;

use crate::{Bytes, Level};

crate::shape! {
    /// One line of the agent's log.
    LogRecord {
        level: Level,
        message: String,
        fields[omitzero]: BTreeMap<String, String>,
    }
}

crate::shape! {
    /// A request of [`http_send`].
    HttpRequest {
        /// Empty means `GET`.
        method: String,
        /// `https://`, `http://`, or `http+unix://` with the socket's path percent-encoded as the host.
        url: String,
        headers[omitzero]: BTreeMap<String, Vec<String>>,
        body[omitzero]: Bytes,
        /// 10,000 unless told, 60,000 at most.
        deadline_ms[omitzero]: i64,
        sign: Option<Sign>,
    }
}

impl HttpRequest {
    pub fn get(url: &str) -> Self {
        HttpRequest { method: "GET".to_string(), url: url.to_string(), ..Default::default() }
    }
}

crate::shape! {
    /// How the host attaches the operator's credentials, which never enter the guest.
    Sign {
        /// `bearer`, `basic`, `header`, `aws4`, `google-oauth2`, `azure-ad`, `keystone` or `client-tls`.
        scheme: String,
        /// Its name in `millwright.toml`.
        credential: String,
        /// What the scheme wants beside.
        params[omitzero]: BTreeMap<String, String>,
    }
}

impl Sign {
    pub fn new(scheme: &str, credential: &str) -> Self {
        Sign { scheme: scheme.to_string(), credential: credential.to_string(), ..Default::default() }
    }
}

crate::shape! {
    /// The answer to a request, or why there is none.
    HttpResponse {
        /// Any status is an answer, 400 and more too.
        status[omitzero]: i64,
        headers[omitzero]: BTreeMap<String, Vec<String>>,
        body[omitzero]: Bytes,
        error: Option<HttpError>,
    }
}

impl HttpResponse {
    /// The first value of a header, in whatever case its name is written.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.and_then(|(_, values)| values.first()).map(String::as_str)
    }
}

crate::shape! {
    /// A request that got no answer.
    HttpError {
        /// `denied`, `credential`, `dns`, `connect`, `tls`, `timeout`, `too_large`, `invalid` or `closed`.
        kind: String,
        message: String,
    }
}

impl std::fmt::Display for HttpError {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)
    }
}

impl std::error::Error for HttpError {}

/// Writes one record to the agent's log, which adds the module's name. The host shortens what is too long.
pub fn log(level: Level, message: &str, fields: &[(&str, &str)]) {
    let fields = fields.iter().map(|(name, v)| (name.to_string(), v.to_string())).collect();
    platform::log(&LogRecord { level, message: message.to_string(), fields });
}

/// Sends one request and returns the whole answer. A status of 400 or more is an answer; an error is a request that got none: a refused
/// hostname, a timeout, an answer that is too large. It blocks until then.
pub fn http_send(request: &HttpRequest) -> Result<HttpResponse, HttpError> {
    let mut response = platform::http_send(request);
    match response.error.take() {
        Some(e) => Err(e),
        None => Ok(response),
    }
}

#[cfg(target_arch = "wasm32")]
use crate::guest as platform;

#[cfg(not(target_arch = "wasm32"))]
mod platform {
    use super::*;

    pub fn log(record: &LogRecord) {
        eprintln!("{}: {} {:?}", record.level, record.message, record.fields);
    }

    pub fn http_send(request: &HttpRequest) -> HttpResponse {
        crate::testing::answered(request)
    }
}
