use crate::json::{self, Decode};
use crate::{Description, Error, Module, ObserveRequest, Problem, Proposal, Snapshot, ValidateRequest, ValidateResult, Value, ABI};

/// Proposes how a runner's fleet should scale.
pub trait Policy {
    /// Says who the policy is. `abi` and `kind` are filled in.
    fn describe(&self) -> Description;

    /// Decide is pure: what it returns depends on the snapshot alone, and so the same snapshot gives the same bytes. It may log. An error
    /// makes the host skip the policy this time, and is shown to people as the reason.
    fn decide(&self, snapshot: &Snapshot) -> Result<Proposal, Error>;

    /// Lists what is wrong with the request's `config`. None means that all is well.
    fn validate(&self, _request: &ValidateRequest) -> Vec<Problem> {
        Vec::new()
    }

    /// Looks at the world outside by [`host::http_send`](crate::host::http_send). The host calls it on a schedule. What it returns, JSON of at
    /// most 64 KB, becomes `observed` in the next snapshots; `None` leaves what was observed before.
    fn observe(&self, _request: &ObserveRequest) -> Result<Option<Value>, Error> {
        Ok(None)
    }
}

/// Makes the exports of a policy's module. It takes an expression that gives the policy and is made anew for each call.
#[macro_export]
macro_rules! policy {
    ($policy:expr) => {
        $crate::exports!($policy, $crate::Policy, describe decide validate observe);
    };
}

/// Makes exports of these names; used by [`policy!`] and [`driver!`](crate::driver).
#[doc(hidden)]
#[macro_export]
macro_rules! exports {
    ($module:expr, $kind:path, $($export:ident)*) => {
        #[cfg(target_arch = "wasm32")]
        mod millwright_exports {
            use super::*;
            $(
                #[no_mangle]
                pub extern "C" fn $export() -> i32 {
                    $crate::guest::run(stringify!($export), |export, input| {
                        <dyn $kind>::call_export(&$module, export, input)
                    })
                }
            )*
        }
        // The module is checked, and counts as used, on every other target as well.
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn() = || {
            let module = &$module;
            let _: &dyn $kind = module;
        };
    };
}

impl dyn Policy + '_ {
    #[doc(hidden)]
    pub fn call_export(&self, export: &str, input: &[u8]) -> Result<Vec<u8>, Error> {
        let output = match export {
            "describe" => {
                let description = Description { abi: ABI, kind: "policy".to_string(), ..self.describe() };
                json::encode(&description)
            }
            "decide" => json::encode(&self.decide(&request(export, input)?)?),
            "validate" => json::encode(&ValidateResult { problems: self.validate(&request(export, input)?) }),
            "observe" => match self.observe(&request(export, input)?)? {
                None => Ok(Vec::new()),
                Some(v) => json::encode(&v),
            },
            _ => return Err(format!("a policy has no export {:?}", export).into()),
        };
        output.map_err(|e| format!("{}: output: {}", export, e).into())
    }
}

impl Module for &dyn Policy {
    fn call(&self, export: &str, input: &[u8]) -> Result<Vec<u8>, Error> {
        self.call_export(export, input)
    }
}

/// Reads the input of an export.
pub(crate) fn request<T: Decode>(export: &str, input: &[u8]) -> Result<T, Error> {
    json::read(input).map_err(|e| format!("{}: input: {}", export, e).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Twice;

    impl Policy for Twice {
        fn describe(&self) -> Description {
            Description { name: "twice".into(), position: 30, ..Default::default() }
        }
        fn decide(&self, s: &Snapshot) -> Result<Proposal, Error> {
            if s.demand.running < 0 {
                return Err("less than no jobs".into());
            }
            let metrics = [("inverse".to_string(), 1.0 / s.demand.running as f64)].into_iter().collect();
            Ok(Proposal { idle_target: Some(2 * s.demand.running), metrics, ..Default::default() })
        }
    }

    struct Watcher;

    impl Policy for Watcher {
        fn describe(&self) -> Description {
            Description::default()
        }
        fn decide(&self, _: &Snapshot) -> Result<Proposal, Error> {
            Ok(Proposal::default())
        }
        fn validate(&self, _: &ValidateRequest) -> Vec<Problem> {
            vec![Problem::new("url", "is missing")]
        }
        fn observe(&self, r: &ObserveRequest) -> Result<Option<Value>, Error> {
            Ok(Some(Value::String(r.now.clone())))
        }
    }

    fn call(p: &dyn Policy, export: &str, input: &str) -> Result<String, String> {
        let out = p.call_export(export, input.as_bytes()).map_err(|e| e.to_string())?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn calls() {
        for (policy, export, input, want) in [
            (&Twice as &dyn Policy, "describe", "", r#"{"abi":1,"kind":"policy","name":"twice","position":30}"#),
            (&Twice, "decide", r#"{"demand":{"running":4}}"#, r#"{"idle_target":8,"metrics":{"inverse":0.25}}"#),
            (&Twice, "validate", "{}", r#"{"problems":[]}"#),
            (&Twice, "observe", "{}", ""),
            (&Watcher, "validate", "{}", r#"{"problems":[{"option":"url","message":"is missing"}]}"#),
            (&Watcher, "observe", r#"{"now":"n"}"#, r#""n""#),
        ] {
            assert_eq!(call(policy, export, input), Ok(want.to_string()), "{}", export);
        }
    }

    #[test]
    fn refuses() {
        for (export, input, want) in [
            ("guess", "{}", r#"a policy has no export "guess""#),
            ("decide", "junk", "decide: input: no JSON: 'j' at byte 0, where a value should be"),
            ("decide", r#"{"fleet":{"used":"x"}}"#, "decide: input: fleet.used: a string, where an integer should be"),
            ("decide", r#"{"demand":{"running":-1}}"#, "less than no jobs"),
            ("decide", r#"{"demand":{"running":0}}"#, "decide: output: inf is no number that JSON can write"),
        ] {
            assert_eq!(call(&Twice, export, input), Err(want.to_string()));
        }
    }
}
