use std::collections::BTreeMap;

use crate::json;
use crate::policy::request;
use crate::{Description, Error, ErrorKind, Options, PermissionResult, Problem, Status, ValidateRequest, ValidateResult, Value, ABI};

/// Speaks to one provider. Its calls are short and idempotent, with the machine's name as the key. It never sleeps, waits or retries: it
/// asks once by [`host::http_send`](crate::host::http_send) and says what became of it, and the host does the rest.
pub trait Driver {
    /// Says who the driver is and which options it has. `abi` and `kind` are filled in.
    fn describe(&self) -> Description;

    /// Lists what is wrong with the options as far as it can be known without asking the provider.
    fn validate(&self, request: &ValidateRequest) -> Vec<Problem>;

    /// Asks for a machine and returns at once, most often with an instance that is still creating. Called again with the same name it
    /// returns the instance that there is.
    fn create(&self, request: &CreateRequest) -> Result<Instance, DriverError>;

    /// Returns every instance that bears the owner's tag. When a part could not be read the result is not complete.
    fn list(&self, request: &ListRequest) -> Result<ListResult, DriverError>;

    /// Deletes the machine and all that was made for it. A machine that is gone already is no error.
    fn remove(&self, request: &RemoveRequest) -> Result<(), DriverError>;

    /// Tries what the driver needs to be allowed, and makes nothing. A driver without one has no permissions to show.
    fn check(&self, _request: &CheckRequest) -> Result<CheckResult, DriverError> {
        Ok(CheckResult::default())
    }

    /// Does to a machine what `export` says, for people: `start`, `stop`, `restart`, or `kill`, a stop that asks nothing of the machine. It asks and
    /// returns; a machine that is in that state already is no error. A driver without one says that it can't.
    fn switch(&self, _export: &str, _request: &SwitchRequest) -> Result<(), DriverError> {
        let can_not = DriverError::new(ErrorKind::Invalid, "this driver can't switch machines off and on");
        Err(DriverError { code: "no_switch".into(), ..can_not })
    }

    /// Returns the end of what a machine wrote to its console, for people: some 100 KB are enough. A driver without one says that it has none to show.
    fn logs(&self, _request: &LogsRequest) -> Result<String, DriverError> {
        let none = DriverError::new(ErrorKind::Invalid, "this driver's provider keeps no console of a machine");
        Err(DriverError { code: "no_logs".into(), ..none })
    }
}

/// Makes the exports of a driver's module. It takes an expression that gives the driver and is made anew for each call.
#[macro_export]
macro_rules! driver {
    ($driver:expr) => {
        $crate::exports!($driver, $crate::Driver, describe validate create list remove check start stop restart kill logs);
    };
}

crate::shape! {
    /// Tags everything that a driver creates, so that list finds it and remove touches nothing else.
    Owner {
        /// 16 letters and digits.
        id: String,
        /// Informative.
        runner: String,
    }
}

crate::shape! {
    /// What belongs to one machine alone: how the host will log in and how it will know the machine again.
    Bootstrap {
        ssh_user: String,
        /// One line for authorized_keys.
        authorized_key: String,
        /// OpenSSH PEM, Ed25519.
        host_key_private: String,
        /// One line.
        host_key_public: String,
        /// A script for sh that makes an engine of the machine when root runs it at the first boot.
        first_boot[omitzero]: String,
    }
}

crate::shape! {
    /// The input of create.
    CreateRequest {
        abi: i64,
        owner: Owner,
        /// The machine's name and its key, RFC 1123, at most 63 characters.
        name: String,
        options: Options,
        bootstrap: Bootstrap,
        labels[omitzero]: BTreeMap<String, String>,
        /// RFC 3339, in UTC: when the provider may end the machine by itself, as far as it can; empty: never.
        expires_at[omitzero]: String,
    }
}

crate::shape! {
    /// The input of list.
    ListRequest {
        abi: i64,
        owner: Owner,
        options: Options,
        /// Also those of other owners; a driver that can't tell them lists the owner's own.
        all_owners[omitzero]: bool,
    }
}

crate::shape! {
    /// The output of list.
    ListResult {
        instances: Vec<Instance>,
        /// False: a part could not be read, so absence means nothing.
        complete: bool,
    }
}

crate::shape! {
    /// The input of remove.
    RemoveRequest {
        abi: i64,
        owner: Owner,
        name: String,
        /// The instance's, when known.
        id[omitzero]: String,
        options: Options,
        /// The driver's own, from the instance.
        state: Value,
    }
}

/// The input of start, stop, restart and kill.
pub type SwitchRequest = RemoveRequest;

/// The input of logs.
pub type LogsRequest = RemoveRequest;

crate::shape! {
    /// The input of check.
    CheckRequest {
        abi: i64,
        owner: Owner,
        /// As those of create.
        options: Options,
    }
}

crate::shape! {
    /// The output of check. No permissions at all mean that the driver has no check.
    CheckResult {
        permissions: Vec<Permission>,
    }
}

crate::shape! {
    /// One thing that the driver needs to be allowed, and whether it is.
    Permission {
        /// As the provider names it.
        name: String,
        result: PermissionResult,
        /// What it is for, one line.
        purpose[omitzero]: String,
        /// What follows where it is missing.
        without[omitzero]: String,
        /// What to do where it is not granted.
        fix[omitzero]: String,
        /// Why it is denied or not known, in the provider's words.
        message[omitzero]: String,
    }
}

crate::shape! {
    /// The provider's record of a machine.
    Instance {
        name: String,
        id: String,
        status: Status,
        /// Why, in the provider's words.
        message[omitzero]: String,
        /// Where the agent reaches it: IP address or hostname.
        address[omitzero]: String,
        /// 0 = 22.
        ssh_port[omitzero]: i64,
        /// Where the login is another one than the bootstrap's.
        ssh_user[omitzero]: String,
        /// 0 = 2376.
        engine_port[omitzero]: i64,
        /// NVIDIA GPUs that it has; the host waits until they answer.
        gpus[omitzero]: i64,
        /// RFC 3339.
        created_at[omitzero]: String,
        /// The driver's own, handed back to remove.
        state: Value,
        /// The id of the owner's tag; required in the answer to all_owners.
        owner[omitzero]: String,
        /// Of status gone: why the provider never made it, where that shows only after create has answered.
        error: Option<DriverError>,
    }
}

crate::shape! {
    /// A failure as data.
    DriverError {
        kind: ErrorKind,
        /// What failed and what to do, for people.
        message: String,
        /// The provider's own code.
        code[omitzero]: String,
        /// Seconds to wait at least, when the provider said so.
        retry_after_s[omitzero]: i64,
    }
}

impl DriverError {
    pub fn new(kind: ErrorKind, message: &str) -> Self {
        DriverError { kind, message: message.to_string(), ..Default::default() }
    }
}

/// A failure without a kind is worth another try.
impl From<String> for DriverError {
    fn from(message: String) -> Self {
        DriverError::new(ErrorKind::Transient, &message)
    }
}

/// A request that got no answer: the kind is `invalid` where no other try helps, `auth` where the operator's credential can't be used.
impl From<crate::host::HttpError> for DriverError {
    fn from(e: crate::host::HttpError) -> Self {
        let kind = match e.kind.as_str() {
            "denied" | "invalid" | "too_large" => ErrorKind::Invalid,
            "credential" => ErrorKind::Auth,
            _ => ErrorKind::Transient,
        };
        DriverError::new(kind, &format!("{}: {}", e.kind, e.message))
    }
}

crate::shape! {
    /// The envelope of what every export of a driver but describe returns: one of its fields is set.
    Outcome {
        ok: Value,
        error: Option<DriverError>,
    }
}

impl dyn Driver + '_ {
    #[doc(hidden)]
    pub fn call_export(&self, export: &str, input: &[u8]) -> Result<Vec<u8>, Error> {
        let output = match export {
            "describe" => {
                let description = Description { abi: ABI, kind: "driver".to_string(), ..self.describe() };
                json::encode(&description)
            }
            "validate" => envelope(Ok(ValidateResult { problems: self.validate(&request(export, input)?) })),
            "create" => envelope(self.create(&request(export, input)?)),
            "list" => envelope(self.list(&request(export, input)?)),
            "remove" => envelope(self.remove(&request(export, input)?).map(|()| Value::Object(Vec::new()))),
            "check" => envelope(self.check(&request(export, input)?)),
            "start" | "stop" | "restart" | "kill" => envelope(self.switch(export, &request(export, input)?).map(|()| Value::Object(Vec::new()))),
            "logs" => envelope(self.logs(&request(export, input)?)),
            _ => return Err(format!("a driver has no export {:?}", export).into()),
        };
        output.map_err(|e| format!("{}: output: {}", export, e).into())
    }
}

/// Writes the outcome of a call in its envelope, an [`Outcome`].
fn envelope<T: json::Encode>(result: Result<T, DriverError>) -> Result<Vec<u8>, String> {
    json::encode(&Envelope(result))
}

struct Envelope<T>(Result<T, DriverError>);

impl<T: json::Encode> json::Encode for Envelope<T> {
    fn encode(&self, w: &mut json::Writer) {
        w.object(|m| match &self.0 {
            Ok(v) => m.add("ok", v),
            Err(e) => m.add("error", e),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(Option<DriverError>);

    impl Driver for Broken {
        fn describe(&self) -> Description {
            Description { name: "broken".into(), ..Default::default() }
        }
        fn validate(&self, _: &ValidateRequest) -> Vec<Problem> {
            Vec::new()
        }
        fn create(&self, r: &CreateRequest) -> Result<Instance, DriverError> {
            match &self.0 {
                Some(e) => Err(e.clone()),
                None => Ok(Instance { name: r.name.clone(), id: "i".into(), status: Status::Creating, ..Default::default() }),
            }
        }
        fn list(&self, _: &ListRequest) -> Result<ListResult, DriverError> {
            Ok(ListResult::default())
        }
        fn remove(&self, _: &RemoveRequest) -> Result<(), DriverError> {
            Ok(())
        }
    }

    #[test]
    fn calls() {
        let quota = DriverError { code: "CPUS".into(), retry_after_s: 60, ..DriverError::new(ErrorKind::Quota, "no cpus left") };
        for (error, export, want) in [
            (None, "describe", r#"{"abi":1,"kind":"driver","name":"broken"}"#),
            (None, "validate", r#"{"ok":{"problems":[]}}"#),
            (None, "create", r#"{"ok":{"name":"m","id":"i","status":"creating"}}"#),
            (None, "list", r#"{"ok":{"instances":[],"complete":false}}"#),
            (None, "remove", r#"{"ok":{}}"#),
            (None, "check", r#"{"ok":{"permissions":[]}}"#),
            (None, "stop", r#"{"error":{"kind":"invalid","message":"this driver can't switch machines off and on","code":"no_switch"}}"#),
            (None, "logs", r#"{"error":{"kind":"invalid","message":"this driver's provider keeps no console of a machine","code":"no_logs"}}"#),
            (Some(quota), "create", r#"{"error":{"kind":"quota","message":"no cpus left","code":"CPUS","retry_after_s":60}}"#),
            (Some("cable".to_string().into()), "create", r#"{"error":{"kind":"transient","message":"cable"}}"#),
        ] {
            let driver: &dyn Driver = &Broken(error);
            let out = driver.call_export(export, br#"{"name":"m"}"#).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), want);
        }
    }

    /// Has what a driver need not have.
    struct Powered;

    impl Driver for Powered {
        fn describe(&self) -> Description {
            Description::default()
        }
        fn validate(&self, _: &ValidateRequest) -> Vec<Problem> {
            Vec::new()
        }
        fn create(&self, _: &CreateRequest) -> Result<Instance, DriverError> {
            Ok(Instance::default())
        }
        fn list(&self, _: &ListRequest) -> Result<ListResult, DriverError> {
            Ok(ListResult::default())
        }
        fn remove(&self, _: &RemoveRequest) -> Result<(), DriverError> {
            Ok(())
        }
        fn switch(&self, export: &str, r: &SwitchRequest) -> Result<(), DriverError> {
            match export {
                "restart" => Err(format!("no {} of {}", export, r.name).into()),
                _ => Ok(()),
            }
        }
        fn logs(&self, r: &LogsRequest) -> Result<String, DriverError> {
            Ok(format!("{} boots\n", r.name))
        }
    }

    #[test]
    fn powers() {
        let driver: &dyn Driver = &Powered;
        for (export, want) in [
            ("start", r#"{"ok":{}}"#),
            ("stop", r#"{"ok":{}}"#),
            ("kill", r#"{"ok":{}}"#),
            ("restart", r#"{"error":{"kind":"transient","message":"no restart of m"}}"#),
            ("logs", r#"{"ok":"m boots\n"}"#),
        ] {
            let out = driver.call_export(export, br#"{"name":"m"}"#).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), want);
        }
    }

    #[test]
    fn refuses() {
        let driver: &dyn Driver = &Broken(None);
        assert!(driver.call_export("reboot", b"{}").is_err());
        assert!(driver.call_export("list", b"junk").is_err());
    }
}
