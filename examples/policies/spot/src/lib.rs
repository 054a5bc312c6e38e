//! Spot first: the next machine is a cheap one that the provider may take back, unless it has none of these to give. See README.md.
#![forbid(unsafe_code)]

use millwright::{json, Description, Error, ErrorKind, Options, Policy, Problem, Proposal, Snapshot, ValidateRequest, Value};

millwright::policy!(Spot);

pub struct Spot;

millwright::shape! {
    /// What spot.toml says below [config]. The options are those of the driver: a string, a number, true or false, or a list of strings.
    Config {
        /// Options of a spot machine.
        spot: Value,
        /// Options of the machine to take while there are no spot machines.
        on_demand: Value,
        /// After how many failures within the pause; 3 unless told.
        failures: Option<i64>,
        /// Seconds after the last failure until spot is tried again; 600 unless told.
        pause_s: Option<i64>,
        /// Jobs that may wait before on-demand machines help out, whatever failed; never unless told.
        waiting: Option<i64>,
    }
}

impl Policy for Spot {
    fn describe(&self) -> Description {
        Description {
            name: "spot".into(),
            version: "1.0.0".into(),
            summary: "takes spot machines, and on-demand ones while the provider has no spot machines".into(),
            ..Default::default()
        }
    }

    fn validate(&self, request: &ValidateRequest) -> Vec<Problem> {
        let mut problems = json::unknown_fields(&request.config, Config::FIELDS);
        let config: Config = match json::decode(&request.config) {
            Ok(c) => c,
            Err(e) => return vec![Problem::new("", &e)],
        };
        for (name, v) in [("spot", &config.spot), ("on_demand", &config.on_demand)] {
            match options(v) {
                Err(e) => problems.push(Problem::new(name, &e)),
                Ok(o) if o.is_empty() => problems.push(Problem::new(name, "is empty; name the driver's options, as MachineOptions does")),
                Ok(_) => {}
            }
        }
        for (name, v, least) in [("failures", config.failures, 1), ("pause_s", config.pause_s, 1), ("waiting", config.waiting, 1)] {
            if v.unwrap_or(least) < least {
                problems.push(Problem::new(name, &format!("{} is too little; use {} or more", v.unwrap_or(0), least)));
            }
        }
        problems
    }

    fn decide(&self, s: &Snapshot) -> Result<Proposal, Error> {
        let config: Config = json::decode(&s.config)?;
        let (choice, reason) = match fallback(&config, s) {
            Some(reason) => (options(&config.on_demand)?, reason),
            None => (options(&config.spot)?, "the next machine is a spot machine".to_string()),
        };
        // What the policies before this one ask for stays, but for the options that decide between spot and on-demand.
        let mut next_machine = s.proposal.next_machine.clone();
        next_machine.extend(choice);
        Ok(Proposal { next_machine, reason: append(&s.proposal.reason, &reason), ..Default::default() })
    }
}

/// Tells why an on-demand machine must do now; `None` when a spot machine will.
fn fallback(config: &Config, s: &Snapshot) -> Option<String> {
    let pause_s = config.pause_s.unwrap_or(600) as f64;
    let limit = config.failures.unwrap_or(3);
    for kind in [ErrorKind::Capacity, ErrorKind::Quota] {
        let failed = s.failures.iter().find(|f| f.kind == kind && f.count >= limit && f.age_s < pause_s);
        if let Some(f) = failed {
            return Some(format!(
                "the next machine is on demand: {} creations failed for want of {}, the last {:.0} s ago; spot is tried again {} s after the last",
                f.count, kind, f.age_s, pause_s
            ));
        }
    }
    match config.waiting {
        Some(most) if s.demand.waiting > most => {
            Some(format!("the next machine is on demand: {} jobs wait, more than {}", s.demand.waiting, most))
        }
        _ => None,
    }
}

/// Reads driver options as a user writes them.
fn options(v: &Value) -> Result<Options, String> {
    let members = match v {
        Value::Object(members) => members,
        Value::Null => return Ok(Options::new()),
        _ => return Err(format!("is {}; write options as name = value", v.kind())),
    };
    let mut out = Options::new();
    for (name, v) in members {
        let values = match v {
            Value::Array(items) => items.iter().map(|v| word(name, v)).collect::<Result<_, _>>()?,
            v => vec![word(name, v)?],
        };
        out.insert(name.clone(), values);
    }
    Ok(out)
}

fn word(name: &str, v: &Value) -> Result<String, String> {
    match v {
        Value::String(s) => Ok(s.clone()),
        Value::Bool(b) => Ok(b.to_string()),
        Value::Int(n) => Ok(n.to_string()),
        _ => Err(format!("{} is {}; write a string, an integer, true or false, or a list of these", name, v.kind())),
    }
}

/// The chain shows one reason: that of the policies before this one must stay in it.
fn append(before: &str, reason: &str) -> String {
    if before.is_empty() {
        return reason.to_string();
    }
    format!("{}; {}", before, reason)
}
